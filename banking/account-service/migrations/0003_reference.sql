-- What a transfer is for, in the words of who made it, and the same in lower case, to search by.
ALTER TABLE postings ADD COLUMN reference TEXT;
ALTER TABLE postings ADD COLUMN reference_key TEXT;
