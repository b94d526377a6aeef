// Work that is asked for more often than it need be done.

/** Work that runs once at a time; asked for meanwhile, it runs once more. */
export function coalesced(work) {
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
