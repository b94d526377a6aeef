-- What a transfer is for, in the words of who made it.
ALTER TABLE transfers ADD COLUMN reference TEXT;
