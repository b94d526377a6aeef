// Before a session: log in, or register.

import { byId, Mistake, onSubmit, required, say } from "./elements.js";
import { ask } from "./http.js";
import { begin } from "./session.js";
import { tabs } from "./tabs.js";

/** Brings the two forms to life; `entered` is called with a session. */
export function door(entered) {
  const login = byId("login");
  const register = byId("register");
  const notice = byId("door-notice");
  const name = byId("login-name");
  const show = tabs(document.querySelector("#door [role=tablist]"), () => say(notice, null));

  const byPhone = () => login.elements["login-by"].value === "phone";

  function chooseBy() {
    byId("login-name-label").textContent = byPhone() ? "Phone" : "Username";
    name.type = byPhone() ? "tel" : "text";
  }

  async function logIn(who, password) {
    const answer = await ask("POST", "/api/auth/login", { body: { ...who, password } });
    begin(answer.session, answer.username);
    login.reset();
    register.reset();
    chooseBy();
    entered();
  }

  for (const radio of login.elements["login-by"]) radio.addEventListener("change", chooseBy);

  onSubmit(login, byId("login-error"), async () => {
    const who = byPhone()
      ? { phone: digits(required(name, "A phone")) }
      : { username: required(name, "A username") };
    await logIn(who, secret(byId("login-password")));
  });

  onSubmit(register, byId("register-error"), async () => {
    const username = required(byId("register-name"), "A username");
    const password = secret(byId("register-password"));
    const phone = digits(byId("register-phone").value);
    try {
      const body = phone ? { username, password, phone } : { username, password };
      await ask("POST", "/api/auth/register", { body });
    } catch (failure) {
      throw blamed(failure);
    }
    await logIn({ username }, password);
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

/** A password is taken as it is, spaces included. */
function secret(field) {
  if (!field.value) throw new Mistake(field, "A password is needed.");
  return field.value;
}

/** The digits of a phone, which people write in many ways. What is not allowed the bank refuses. */
function digits(phone) {
  return phone.replace(/[\s()+./-]/g, "");
}

/** The failure, with the field that the bank's words begin with or are about. */
function blamed(failure) {
  const about = /^(username|password|phone)\b/i.exec(failure.message)?.[1].toLowerCase();
  const fields = { username: "register-name", password: "register-password", phone: "register-phone" };
  if (about) failure.field = byId(fields[about]);
  return failure;
}
