// The status page, for the administrator: nothing is shown before the secret, which is kept in this
// page alone and gone with it. The bank tells every two seconds how all is; letters, jobs and what is
// delayed are looked at when somebody asks, for a look at letters holds them, and all services are
// asked for their jobs.
//
// Read on with ask.js and watch.js, then services.js, charts.js, breakers.js, letters.js, jobs.js,
// delayed.js.

import { forget, open } from "./modules/ask.js";
import { breakers } from "./modules/breakers.js";
import { charts } from "./modules/charts.js";
import { delayed } from "./modules/delayed.js";
import { byId, onSubmit, required, say } from "./modules/elements.js";
import { jobs } from "./modules/jobs.js";
import { languages, speak, tell } from "./modules/language.js";
import { letters } from "./modules/letters.js";
import { services } from "./modules/services.js";
import { Watch } from "./modules/watch.js";

speak(document, {});
languages(byId("language"));

const parts = [services(), charts(), breakers(), letters(), jobs(), delayed()];

const watch = new Watch({
  state(name) {
    byId("live").dataset.state = name;
    byId("live-text").textContent = tell(`live.${name}`);
  },
  status(status) {
    for (const part of parts) part.show?.(status);
  },
  refused() {
    leave(tell("door.refused"));
  },
});

function enter() {
  byId("door").hidden = true;
  byId("room").hidden = false;
  byId("room-main").focus({ preventScroll: true });
  watch.start();
}

function leave(why) {
  watch.stop();
  forget();
  for (const part of parts) part.clear?.();
  byId("room").hidden = true;
  byId("door").hidden = false;
  say(byId("open-error"), why);
  byId("secret").focus();
}

onSubmit(byId("open"), byId("open-error"), async () => {
  const field = byId("secret");
  await open(required(field, tell("door.needed")));
  field.value = "";
  enter();
});
byId("leave").addEventListener("click", () => leave(null));

byId("door").hidden = false;
byId("secret").focus();
