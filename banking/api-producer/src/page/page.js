// The page: the door before a session, the hall in one. Everything in the hall is fetched again
// whenever the bank says that something happened, so both sides of a transfer see it at once.
//
// Read on with session.js and http.js, then door.js; send.js, order.js and desk.js are the way of a
// transfer; live.js, overview.js, lists.js and notices.js what is shown.

import { cash } from "./modules/cash.js";
import { door } from "./modules/door.js";
import { byId } from "./modules/elements.js";
import { ask, onSessionEnded } from "./modules/http.js";
import { statement, transfers } from "./modules/lists.js";
import { Live } from "./modules/live.js";
import { forgetToasts, notices, toast } from "./modules/notices.js";
import { overview } from "./modules/overview.js";
import { send } from "./modules/send.js";
import { current, end } from "./modules/session.js";
import { tabs } from "./modules/tabs.js";

const STATES = { connecting: "Connecting", live: "Live", waiting: "Reconnecting", offline: "Offline" };

/** Work that runs once at a time; asked for meanwhile, it runs once more. */
function coalesced(work) {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        await work();
      }
    } finally {
      running = false;
    }
  };
}

const account = overview();
const notified = notices(byId("notices"));
const shown = [account, statement(byId("statement")), transfers(byId("transfers")), notified];
const refresh = coalesced(async () => {
  if (current()) await Promise.all(shown.map((part) => part.refresh()));
});
const desks = [send(refresh), cash("deposit", refresh), cash("withdraw", refresh)];
const entrance = door(enter);
const showMove = tabs(document.querySelector("#hall .column [role=tablist]"));
const showActivity = tabs(document.querySelector(".activity [role=tablist]"));

const live = new Live({
  state(name) {
    byId("live").dataset.state = name;
    byId("live-text").textContent = STATES[name];
  },
  open: refresh,
  notice(message) {
    toast(message);
    refresh();
  },
  // If the session is over, the answer to this says so.
  refused: refresh,
});

function enter() {
  const { token, username } = current();
  for (const part of shown) part.enter(username);
  const open = desks.filter((desk) => desk.enter());
  showMove(open[0]?.kind ?? "send");
  showActivity("statement");
  byId("door").hidden = true;
  byId("hall").hidden = false;
  byId("hall-main").focus({ preventScroll: true });
  live.start(token);
  refresh();
}

function leave(why) {
  end();
  live.stop();
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
  leave(null);
  const status = await told;
  if (status !== 200 && status !== 401 && !current()) {
    entrance.show("You are logged out here, but the bank could not be told. Your session there ends by itself.");
  }
});
byId("bell").addEventListener("click", () => {
  showActivity("notices");
  byId("notices").focus();
});
onSessionEnded(() => leave("Your session has ended. Log in again."));

if (current()) enter();
else leave(null);
