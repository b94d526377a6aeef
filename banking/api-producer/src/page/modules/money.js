// Amounts: whole numbers of minor units, written with two decimals as people write them where they
// are. Never a fraction, never rounded, and never read as a thousandth or a thousand times of what
// was meant.

/** The largest amount of one movement, in minor units; the bank refuses more. */
export const LARGEST = 1_000_000_000_000;

/** Thousands, set apart by one and the same mark. */
const GROUPED = /^[1-9]\d{0,2}([.,'’ ])\d{3}(?:\1\d{3})*$/;
const MARKS = /[.,'’ ]/g;

/** Reads and writes amounts of one currency in one locale. */
export class Money {
  #plain;
  #whole;
  #format;
  #group;
  /** "€", say. */
  symbol;
  #code;

  constructor(locale, currency) {
    const two = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
    this.#plain = new Intl.NumberFormat(locale, two);
    this.#whole = new Intl.NumberFormat(locale);
    this.#format = new Intl.NumberFormat(locale, { style: "currency", currency, ...two });
    this.#group = part(this.#plain, "group", 1_000_000) ?? ",";
    this.symbol = part(this.#format, "currency", 0);
    this.#code = currency;
  }

  /** 100000 as "€1,000.00". Takes a number or, where numbers are not exact, a BigInt. */
  format(minorUnits) {
    return this.#write(this.#format, minorUnits);
  }

  /** With its sign, "+" included. */
  formatChange(minorUnits) {
    return BigInt(minorUnits) > 0n ? `+${this.format(minorUnits)}` : this.format(minorUnits);
  }

  /** 100000 as "1,000.00", as it can be typed. */
  plain(minorUnits) {
    return this.#write(this.#plain, minorUnits);
  }

  /**
   * "1,000.00", "1.000,00", "1 000" or "12,5" as minor units. Whichever mark stands last and alone
   * is that of the decimals, of which there are one or two. Three digits after the only mark are
   * thousands if the locale sets thousands apart by it, and nothing otherwise: "1.000" is a thousand
   * in Vietnamese, and refused in English. Throws a RangeError whose message is "unreadable",
   * "smallest" or "largest".
   */
  parse(text) {
    const written = spaced(text.replace(this.symbol, "").replace(this.#code, "")).trim();
    const decimals = this.#decimals(written);
    const whole = decimals === null ? written : written.slice(0, -decimals.length - 1);
    const digits = whole.replace(MARKS, "");
    const isWhole = /^\d+$/.test(whole) || GROUPED.test(whole);
    if (!isWhole && !(/^\d+$/.test(digits) && whole === spaced(this.#whole.format(BigInt(digits))))) {
      throw new RangeError("unreadable");
    }
    const units = BigInt(digits + (decimals ?? "").padEnd(2, "0"));
    if (units < 1n) throw new RangeError("smallest");
    if (units > BigInt(LARGEST)) throw new RangeError("largest");
    return Number(units);
  }

  /** The digits behind the mark of the decimals, or null if there is none. */
  #decimals(written) {
    const [last] = [...written.matchAll(/[.,]/g)].slice(-1);
    if (!last) return null;
    const behind = written.slice(last.index + 1);
    const marks = written.slice(0, last.index).match(/[.,]/g) ?? [];
    // Two of a kind set thousands apart.
    if (marks.includes(last[0])) return null;
    if (marks.length === 0 && /^\d{3}$/.test(behind) && last[0] === this.#group) return null;
    if (!/^\d{1,2}$/.test(behind)) throw new RangeError("unreadable");
    return behind;
  }

  #write(format, minorUnits) {
    const units = BigInt(minorUnits);
    const digits = (units < 0n ? -units : units).toString().padStart(3, "0");
    // A fraction would not be exact.
    const parts = format.formatToParts(BigInt(digits.slice(0, -2)));
    const written = parts.map(({ type, value }) => (type === "fraction" ? digits.slice(-2) : value));
    return `${units < 0n ? "−" : ""}${written.join("")}`;
  }
}

/** With one kind of spaces: people type another one than is written. */
function spaced(text) {
  return text.replace(/\s/g, " ");
}

function part(format, type, number) {
  return format.formatToParts(number).find((part) => part.type === type)?.value;
}
