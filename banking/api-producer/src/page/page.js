// The page: the door before a session, the hall in one. Everything in the hall is fetched again
// whenever the bank says that something happened, so both sides of a transfer see it at once.
//
// Read on with language.js, session.js and http.js, then door.js; send.js, order.js and desk.js are
// the way of a transfer; live.js, overview.js, statement.js and notices.js what is shown.

import { money } from "./modules/amounts.js";
import { cash } from "./modules/cash.js";
import { chart } from "./modules/chart.js";
import { details } from "./modules/details.js";
import { door } from "./modules/door.js";
import { byId } from "./modules/elements.js";
import { ask, onSessionEnded } from "./modules/http.js";
import { languages, speak, tell } from "./modules/language.js";
import { Live } from "./modules/live.js";
import { notices } from "./modules/notices.js";
import { coalesced } from "./modules/once.js";
import { overview } from "./modules/overview.js";
import { passwordChange, reveals } from "./modules/password.js";
import { send } from "./modules/send.js";
import { current, end, onSessionOfAnotherTab } from "./modules/session.js";
import { standing } from "./modules/standing.js";
import { statement } from "./modules/statement.js";
import { tabs } from "./modules/tabs.js";
import { forgetToasts, toast } from "./modules/toasts.js";
import { understood } from "./modules/told.js";
import { transfers } from "./modules/transfers.js";

/** What is shown waits so long for the connection that tells when it is no longer so. */
const CONNECTED_WITHIN_MS = 1_000;

byId("starting").remove();
speak(document, { currency: money.symbol });
languages(byId("language"));
reveals();

const showDetails = details();
const lists = [statement(byId("statement"), showDetails), transfers(byId("transfers"), showDetails)];
const shown = [overview(), chart(), ...lists, notices(byId("notices")), standing()];
const refresh = coalesced(async () => {
  if (current()) await Promise.all([...shown, sending].map((part) => part.refresh()));
});
const sending = send(refresh);
const desks = [sending, cash("deposit", refresh), cash("withdraw", refresh)];
const access = passwordChange();
const entrance = door(enter);
const showMove = tabs(document.querySelector("#hall .column [role=tablist]"));
const showActivity = tabs(document.querySelector(".activity [role=tablist]"), (panel) => {
  if (panel === "transfers" && current()) lists[1].refresh();
});
let firstLook;

const live = new Live({
  state(name) {
    byId("live").dataset.state = name;
    byId("live-text").textContent = tell(`live.${name}`);
  },
  open: look,
  changed: refresh,
  notice: (message) => toast(understood(message).text),
  // If the session is over, the answer to this says so.
  refused: refresh,
});

function look() {
  clearTimeout(firstLook);
  refresh();
}

function enter() {
  const { token, username } = current();
  for (const part of shown) part.enter(username);
  access.enter();
  const open = desks.filter((desk) => desk.enter());
  showMove(open[0]?.kind ?? "send");
  showActivity("statement");
  byId("door").hidden = true;
  byId("hall").hidden = false;
  byId("hall-main").focus({ preventScroll: true });
  live.start(token);
  clearTimeout(firstLook);
  firstLook = setTimeout(look, CONNECTED_WITHIN_MS);
}

function leave(why) {
  end();
  byId("details").close();
  live.stop();
  clearTimeout(firstLook);
  forgetToasts();
  byId("hall").hidden = true;
  byId("door").hidden = false;
  entrance.show(why);
}

byId("log-out").addEventListener("click", async () => {
  // Asked in the session, which then ends here without waiting for the answer.
  const told = ask("POST", "/api/auth/logout").then(
    () => 200,
    (failure) => failure.status,
  );
  sending.forget();
  leave(null);
  const status = await told;
  if (status !== 200 && status !== 401 && !current()) entrance.show(tell("door.notTold"));
});
byId("bell").addEventListener("click", () => {
  showActivity("notices");
  byId("notices").focus();
});
onSessionEnded(() => leave(tell("door.ended")));
onSessionOfAnotherTab(() => (current() ? enter() : leave(null)));

if (current()) enter();
else leave(null);
