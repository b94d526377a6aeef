// What the bank tells its users, in their language and with their amounts. The bank writes it in
// English; a sentence that is none of these is shown as it is.

import { money } from "./amounts.js";
import { tell } from "./language.js";

/** What the user did themselves is no news to them. */
const OWN = new Set(["sent", "deposit", "withdrawal"]);

const AMOUNT = "(\\d{1,3}(?:,\\d{3})*\\.\\d{2})";
const SENTENCES = [
  ["sent", `You sent ${AMOUNT} to (\\S+)`, ["amount", "name"]],
  ["received", `You received ${AMOUNT} from (\\S+)`, ["amount", "name"]],
  ["notMade", `Standing order of ${AMOUNT} to (\\S+) not made: too little money`, ["amount", "name"]],
  ["deposit", `Deposit of ${AMOUNT} completed\\. New balance: ${AMOUNT}`, ["amount", "balance"]],
  ["withdrawal", `Withdrawal of ${AMOUNT} completed\\. New balance: ${AMOUNT}`, ["amount", "balance"]],
].map(([kind, pattern, names]) => ({ kind, pattern: new RegExp(`^${pattern}$`), names }));

/** `{text, isNews}` of a message. */
export function understood(message) {
  for (const { kind, pattern, names } of SENTENCES) {
    const found = pattern.exec(message);
    if (!found) continue;
    const values = Object.fromEntries(names.map((name, at) => [name, written(name, found[at + 1])]));
    return { text: tell(`notices.${kind}`, values), isNews: !OWN.has(kind) };
  }
  return { text: message, isNews: true };
}

function written(name, found) {
  return name === "name" ? found : money.format(BigInt(found.replace(/\D/g, "")));
}
