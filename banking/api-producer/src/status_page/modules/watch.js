// How all is, as the bank tells it: server-sent events, read by hand, for a browser's own reader of
// them can't send the secret.

import { send } from "./ask.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** The bank tells every two seconds; after so long without a word it is not there. */
const SILENCE_MS = 15_000;

export class Watch {
  #on;
  #over = null;
  #failures = 0;

  /** `on` has `state(name)`, `status(status)` and `refused()`. */
  constructor(on) {
    this.#on = on;
  }

  start() {
    this.stop();
    const over = new AbortController();
    this.#over = over;
    this.#failures = 0;
    this.#on.state("connecting");
    void this.#run(over);
  }

  stop() {
    this.#over?.abort();
    this.#over = null;
  }

  /** Reads, and again after a pause that grows, until it is over. */
  async #run(over) {
    while (!over.signal.aborted) {
      try {
        await this.#read(over.signal);
      } catch (failure) {
        if (failure.isRefusal && !over.signal.aborted) {
          this.#on.refused();
          return;
        }
      }
      if (over.signal.aborted) return;
      this.#on.state("waiting");
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
      this.#failures += 1;
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)));
    }
  }

  async #read(signal) {
    const silent = new AbortController();
    let timer = setTimeout(() => silent.abort(), SILENCE_MS);
    const either = AbortSignal.any([signal, silent.signal]);
    try {
      const answer = await send("GET", "/services/status/live", undefined, either);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => silent.abort(), SILENCE_MS);
        const events = (text + value).split("\n\n");
        text = events.pop();
        for (const event of events) this.#hear(event);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #hear(event) {
    const lines = event.split("\n").filter((line) => line.startsWith("data: "));
    if (lines.length === 0) return;
    const status = JSON.parse(lines.map((line) => line.slice(6)).join("\n"));
    this.#failures = 0;
    this.#on.state("live");
    this.#on.status(status);
  }
}
