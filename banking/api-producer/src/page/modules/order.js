// A movement of money that the user wants, and the key under which it happens at most once.

import { ask } from "./http.js";
import { drawKey } from "./key.js";
import { Note } from "./note.js";

const PATHS = {
  send: "/api/transfer/transfer",
  deposit: "/api/account/deposit",
  withdraw: "/api/account/withdraw",
};

/**
 * An order keeps its key for as long as nobody knows whether it was carried out, so that it can be
 * asked for again without happening twice. It is written down before it is first sent: a reload
 * does not lose it.
 */
export class Order {
  /** `kind` is one of PATHS, `body` what to ask for, `to` whom it pays, if anybody. */
  constructor(kind, body, to = null, key = drawKey()) {
    this.kind = kind;
    this.body = body;
    this.to = to;
    this.key = key;
    this.note = note(kind);
  }

  /** The one of this kind that the user made and nobody knows the outcome of, or null. */
  static recall(kind) {
    const kept = note(kind).read();
    return kept && new Order(kind, kept.body, kept.to, kept.key);
  }

  /**
   * Asks for it, for the first time or again. Throws a Failure; if that is final, the order is
   * closed, otherwise it is as open as before.
   */
  async send() {
    const { body, to, key } = this;
    this.note.write({ body, to, key });
    try {
      const answer = await ask("POST", PATHS[this.kind], { body, key });
      this.forget();
      return answer;
    } catch (failure) {
      if (failure.isFinal) this.forget();
      throw failure;
    }
  }

  /** Forgets it; the statement tells what became of it. */
  forget() {
    this.note.erase();
  }
}

/** Where it is written down. */
function note(kind) {
  return new Note("order", kind);
}
