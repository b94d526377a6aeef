// Passwords: to be looked at, and to be changed.

import { byId, Mistake, onSubmit, say } from "./elements.js";
import { ask } from "./http.js";
import { tell } from "./language.js";
import { current } from "./session.js";

/** A password is taken as it is, spaces included. */
export function secret(field) {
  if (!field.value) throw new Mistake(field, tell("needed.password"));
  return field.value;
}

/** Brings the buttons to life that show what is in the field beside them. */
export function reveals() {
  for (const button of document.querySelectorAll(".reveal")) {
    const field = byId(button.getAttribute("aria-controls"));
    const show = (shown) => {
      field.type = shown ? "text" : "password";
      button.setAttribute("aria-pressed", String(shown));
    };
    button.addEventListener("click", () => show(field.type === "password"));
    // Nobody else is to find it on the screen, and no browser to keep it among other texts.
    for (const done of ["submit", "reset"]) field.form.addEventListener(done, () => show(false));
  }
}

/** Brings the form to life that changes the password. */
export function passwordChange() {
  const form = byId("password-form");
  const [before, after] = [byId("password-current"), byId("password-new")];
  const done = byId("password-done");

  onSubmit(form, byId("password-error"), async () => {
    say(done, null);
    const body = { current_password: secret(before), new_password: secret(after) };
    try {
      await ask("POST", "/api/auth/password", { body });
    } catch (failure) {
      if (failure.status === 403) throw new Mistake(before, tell("password.wrong"));
      if (failure.detail.startsWith("new_password")) failure.field = after;
      throw failure;
    }
    form.reset();
    say(done, tell("password.changed"));
  });

  return {
    enter() {
      form.reset();
      // For those who keep passwords: whose it is.
      byId("password-user").value = current().username;
      byId("access").open = false;
      say(byId("password-error"), null);
      say(done, null);
    },
  };
}
