// Names for what is asked for, so that it can be asked for again without happening twice.

/** 128 bits by chance. (`crypto.randomUUID` is only there over https and on localhost.) */
export function drawKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
