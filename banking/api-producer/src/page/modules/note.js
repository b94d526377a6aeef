// What is written down in this tab, so that a reload does not lose it.

import { current } from "./session.js";

/** A note of the user who is logged in when it is made: another one may log in in this tab. */
export class Note {
  #place;

  /** `kind` is what is written down, `name` which of them. */
  constructor(kind, name) {
    this.#place = `${kind}:${current()?.username}:${name}`;
  }

  /** What is written there, or null. */
  read() {
    try {
      return JSON.parse(sessionStorage.getItem(this.#place));
    } catch {
      // No storage, or nothing of ours in it.
      return null;
    }
  }

  write(content) {
    try {
      sessionStorage.setItem(this.#place, JSON.stringify(content));
    } catch {
      // Without storage it lives as long as the page.
    }
  }

  erase() {
    try {
      sessionStorage.removeItem(this.#place);
    } catch {
      // Then it was not kept either.
    }
  }
}
