// A movement of money that the user wants, and the key under which it happens at most once.

import { ask } from "./http.js";
import { drawKey } from "./key.js";
import { current } from "./session.js";

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
    this.place = place(kind);
  }

  /** The one of this kind that the user made and nobody knows the outcome of, or null. */
  static recall(kind) {
    try {
      const kept = JSON.parse(sessionStorage.getItem(place(kind)));
      return kept ? new Order(kind, kept.body, kept.to, kept.key) : null;
    } catch {
      return null;
    }
  }

  /**
   * Asks for it, for the first time or again. Throws a Failure; if that is final, the order is
   * closed, otherwise it is as open as before.
   */
  async send() {
    this.#keep();
    try {
      const answer = await ask("POST", PATHS[this.kind], { body: this.body, key: this.key });
      this.forget();
      return answer;
    } catch (failure) {
      if (failure.isFinal) this.forget();
      throw failure;
    }
  }

  /** Forgets it; the statement tells what became of it. */
  forget() {
    try {
      sessionStorage.removeItem(this.place);
    } catch {
      // Then it was not kept either.
    }
  }

  #keep() {
    const { body, to, key } = this;
    try {
      sessionStorage.setItem(this.place, JSON.stringify({ body, to, key }));
    } catch {
      // Without storage the key lives as long as the page.
    }
  }
}

/** Where it is written down. Each user's own: another one may log in in this tab. */
function place(kind) {
  return `order:${current()?.username}:${kind}`;
}
