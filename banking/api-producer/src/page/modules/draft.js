// What was typed into a form and not sent. It outlives a reload, and a page that was left and come
// back to; nothing secret is ever in it.

import { current } from "./session.js";

export class Draft {
  #fields;
  #name;

  /** Keeps what is in these fields as it is typed. */
  constructor(name, fields) {
    this.#name = name;
    this.#fields = fields;
    for (const field of fields) field.addEventListener("input", () => this.keep());
  }

  keep() {
    try {
      const typed = this.#fields.map((field) => (field.type === "radio" ? field.checked : field.value));
      sessionStorage.setItem(this.#place(), JSON.stringify(typed));
    } catch {
      // Without storage it lives as long as the page.
    }
  }

  /** Puts back what was typed. */
  recall() {
    try {
      const typed = JSON.parse(sessionStorage.getItem(this.#place()));
      this.#fields.forEach((field, at) => {
        if (typed === null || typed[at] === undefined) return;
        if (field.type === "radio") field.checked = typed[at];
        else field.value = typed[at];
      });
    } catch {
      // No storage, or nothing of ours in it.
    }
  }

  forget() {
    try {
      sessionStorage.removeItem(this.#place());
    } catch {
      // Then it was not kept either.
    }
  }

  /** Each user's own: another one may log in in this tab. */
  #place() {
    return `draft:${current()?.username}:${this.#name}`;
  }
}
