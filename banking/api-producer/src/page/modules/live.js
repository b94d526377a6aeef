// The connection over which the bank tells what happens.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** One that was open for so long was a good one: the next pause is short again. */
const GOOD_AFTER_MS = 5_000;
const OPENS_WITHIN_MS = 10_000;
/** The bank's close code for a session that is over. */
const BAD_SESSION = 1008;

/**
 * Connects, and again whenever the connection is lost, after a pause that grows.
 *
 * `onOpen` is the moment to fetch what was missed: whatever happens from then on is told.
 */
export class Live {
  #token = null;
  #socket = null;
  #timers = new Set();
  #failures = 0;
  #on;

  /** `on` has `state(name)`, `open()`, `notice(message)`, `changed()` and `refused()`. */
  constructor(on) {
    this.#on = on;
    window.addEventListener("online", () => this.#hurry());
    window.addEventListener("offline", () => this.#socket?.close());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#hurry();
    });
    // A page with an open connection is not kept for when the user comes back to it.
    window.addEventListener("pagehide", () => this.#socket?.close());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.#hurry();
    });
  }

  start(token) {
    this.stop();
    this.#token = token;
    this.#failures = 0;
    this.#on.state("connecting");
    this.#connect();
  }

  stop() {
    this.#token = null;
    this.#forgetTimers();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #connect() {
    this.#forgetTimers();
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("session", this.#token);
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#after(OPENS_WITHIN_MS, () => {
      if (socket.readyState === WebSocket.CONNECTING) socket.close();
    });
    socket.addEventListener("open", () => {
      if (socket !== this.#socket) return;
      this.#after(GOOD_AFTER_MS, () => (this.#failures = 0));
      this.#on.state("live");
      this.#on.open();
    });
    socket.addEventListener("message", (event) => {
      if (socket === this.#socket) this.#hear(event.data);
    });
    socket.addEventListener("close", (event) => {
      if (socket !== this.#socket) return;
      if (event.code === BAD_SESSION) this.#on.refused();
      // The answer to that may have stopped it.
      if (socket === this.#socket) this.#wait();
    });
  }

  #hear(data) {
    // Whatever it says, something happened, and what is shown may no longer be so.
    this.#on.changed();
    try {
      const said = JSON.parse(data);
      if (said.type === "notification") this.#on.notice(String(said.message));
    } catch {
      // No words for the user: a later bank may say more.
    }
  }

  /** Waits before the next try; by chance not for as long as everybody else. */
  #wait() {
    this.#forgetTimers();
    this.#socket = null;
    this.#on.state(navigator.onLine ? "waiting" : "offline");
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS);
    this.#failures += 1;
    this.#after(pause * (0.5 + Math.random() / 2), () => this.#connect());
  }

  /** Waits no longer: the network is back, or the user. */
  #hurry() {
    if (this.#token && !this.#socket) this.#connect();
  }

  #after(milliseconds, act) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, milliseconds);
    this.#timers.add(timer);
  }

  #forgetTimers() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
