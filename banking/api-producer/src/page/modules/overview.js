// Whose account it is, and what is on it.

import { money } from "./amounts.js";
import { announce, byId, say } from "./elements.js";
import { ask } from "./http.js";
import { tell } from "./language.js";

/** For so long a button says what became of it. */
const SAID_MS = 2_000;

/** "400012345675" as "4000 1234 5675". */
export function groupDigits(number) {
  return number.replace(/(\d{4})(?=\d)/g, "$1 ");
}

export function overview() {
  const balance = byId("balance");
  const number = byId("account-number");
  const problems = byId("overview-error");
  let account = null;

  function show(fetched) {
    const text = money.format(fetched.balance);
    // What did not change is not announced again.
    if (balance.textContent !== text) {
      balance.textContent = text;
      if (account) balance.classList.add("changed");
    }
    account = fetched;
    byId("holder").textContent = fetched.username;
    number.textContent = groupDigits(fetched.account_number);
    byId("phone").textContent = fetched.phone ?? "";
    byId("phone-fact").hidden = !fetched.phone;
    byId("copy-number").hidden = !navigator.clipboard;
  }

  balance.addEventListener("animationend", () => balance.classList.remove("changed"));
  copying(byId("copy-number"), () => account.account_number);

  return {
    enter(username) {
      account = null;
      byId("holder").textContent = username;
      balance.textContent = "…";
      number.textContent = "";
      byId("copy-number").hidden = true;
      byId("phone-fact").hidden = true;
      say(problems, null);
    },
    async refresh() {
      try {
        show(await ask("GET", "/api/account/me"));
        say(problems, null);
      } catch (failure) {
        if (!failure.stale) say(problems, failure.message);
      }
    },
  };
}

/** Has a button copy a text, and say for a moment whether it did. */
export function copying(button, text, name = "copy") {
  let timer;
  button.textContent = tell(name);
  button.addEventListener("click", async () => {
    clearTimeout(timer);
    const done = await navigator.clipboard.writeText(text()).then(
      () => tell("copy.done"),
      () => tell("copy.refused"),
    );
    button.textContent = done;
    announce(done);
    // Pressed twice at once, both come here.
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = tell(name)), SAID_MS);
  });
}
