// Whose account it is, and what is on it.

import { byId, say } from "./elements.js";
import { ask } from "./http.js";
import { format } from "./money.js";

/** "400012345675" as "4000 1234 5675". */
export function groupDigits(number) {
  return number.replace(/(\d{4})(?=\d)/g, "$1 ");
}

export function overview() {
  const balance = byId("balance");
  const number = byId("account-number");
  const copy = byId("copy-number");
  const problems = byId("overview-error");
  let account = null;

  function show(fetched) {
    const text = format(fetched.balance);
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
    copy.hidden = !navigator.clipboard;
  }

  balance.addEventListener("animationend", () => balance.classList.remove("changed"));
  copy.addEventListener("click", async () => {
    const before = [...copy.childNodes];
    try {
      await navigator.clipboard.writeText(account.account_number);
      copy.replaceChildren("Copied");
    } catch {
      copy.replaceChildren("Not allowed");
    }
    setTimeout(() => copy.replaceChildren(...before), 2_000);
  });

  return {
    enter(username) {
      account = null;
      byId("holder").textContent = username;
      balance.textContent = "…";
      number.textContent = "";
      copy.hidden = true;
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
