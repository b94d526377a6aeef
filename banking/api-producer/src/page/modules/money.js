// Amounts: whole numbers of minor units, written with two decimals. Never a fraction, never rounded.

/** The largest amount of one movement, in minor units; the bank refuses more. */
export const LARGEST = 1_000_000_000_000;

const WRITTEN = /^(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d{1,2})?$/;

/** 100000 as "1,000.00". Takes a number or, where numbers are not exact, a BigInt. */
export function format(minorUnits) {
  const units = BigInt(minorUnits);
  const digits = (units < 0n ? -units : units).toString().padStart(3, "0");
  const whole = digits.slice(0, -2).replace(/\B(?=(?:\d{3})+$)/g, ",");
  return `${units < 0n ? "−" : ""}${whole}.${digits.slice(-2)}`;
}

/** With its sign, "+" included. */
export function formatChange(minorUnits) {
  return BigInt(minorUnits) > 0n ? `+${format(minorUnits)}` : format(minorUnits);
}

/** "1,000.00", "1000" or "1000.5" as minor units. Throws a RangeError that says what is allowed. */
export function parse(text) {
  const written = text.trim();
  if (!WRITTEN.test(written)) throw new RangeError("Enter an amount like 1,000.00.");
  const [whole, decimals = ""] = written.replaceAll(",", "").split(".");
  const units = BigInt(whole + decimals.padEnd(2, "0"));
  if (units < 1n) throw new RangeError("The smallest amount is 0.01.");
  if (units > BigInt(LARGEST)) throw new RangeError(`The largest amount is ${format(LARGEST)}.`);
  return Number(units);
}
