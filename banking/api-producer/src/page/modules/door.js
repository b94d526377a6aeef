// Before a session: log in, or register.

import { byId, onSubmit, required, say } from "./elements.js";
import { ask } from "./http.js";
import { tell } from "./language.js";
import { secret } from "./password.js";
import { forgetRegistration, register } from "./registration.js";
import { begin } from "./session.js";
import { tabs } from "./tabs.js";

/** Brings the two forms to life; `entered` is called with a session. */
export function door(entered) {
  const login = byId("login");
  const registering = byId("register");
  const notice = byId("door-notice");
  const name = byId("login-name");
  const show = tabs(document.querySelector("#door [role=tablist]"), () => say(notice, null));

  const byPhone = () => login.elements["login-by"].value === "phone";

  function chooseBy() {
    byId("login-name-label").textContent = tell(byPhone() ? "phone" : "username");
    name.type = byPhone() ? "tel" : "text";
  }

  async function logIn(who, password) {
    const answer = await ask("POST", "/api/auth/login", { body: { ...who, password } });
    begin(answer.session, answer.username);
    login.reset();
    registering.reset();
    chooseBy();
    entered();
  }

  for (const radio of login.elements["login-by"]) radio.addEventListener("change", chooseBy);

  onSubmit(login, byId("login-error"), async () => {
    const who = byPhone()
      ? { phone: digits(required(name, tell("needed.phone"))) }
      : { username: required(name, tell("needed.username")) };
    await logIn(who, secret(byId("login-password")));
  });

  onSubmit(registering, byId("register-error"), async () => {
    const username = required(byId("register-name"), tell("needed.username"));
    const password = secret(byId("register-password"));
    const phone = digits(byId("register-phone").value);
    try {
      const body = phone ? { username, password, phone } : { username, password };
      await register(body);
    } catch (failure) {
      throw blamed(failure);
    }
    await logIn({ username }, password);
    forgetRegistration();
  });

  return {
    /** Shows the forms, with a word about why they are back. */
    show(why) {
      show("login");
      say(byId("login-error"), null);
      say(byId("register-error"), null);
      say(notice, why);
      name.focus();
    },
  };
}

/** The digits of a phone, which people write in many ways. What is not allowed the bank refuses. */
function digits(phone) {
  return phone.replace(/[\s()+./-]/g, "");
}

/** The failure, with the field that the bank's words begin with or are about. */
function blamed(failure) {
  const about = /^(username|password|phone)\b/i.exec(failure.detail)?.[1].toLowerCase();
  const fields = { username: "register-name", password: "register-password", phone: "register-phone" };
  if (about) failure.field = byId(fields[about]);
  return failure;
}
