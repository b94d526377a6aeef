// What was typed into a form and not sent. It outlives a reload, and a page that was left and come
// back to; nothing secret is ever in it.

import { Note } from "./note.js";

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
    this.#note().write(this.#fields.map((field) => (field.type === "radio" ? field.checked : field.value)));
  }

  /** Puts back what was typed. */
  recall() {
    const typed = this.#note().read();
    this.#fields.forEach((field, at) => {
      if (typed?.[at] === undefined) return;
      if (field.type === "radio") field.checked = typed[at];
      else field.value = typed[at];
    });
  }

  forget() {
    this.#note().erase();
  }

  /** Of whoever types now. */
  #note() {
    return new Note("draft", this.#name);
  }
}
