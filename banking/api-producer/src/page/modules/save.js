// Files for the user to keep.

/** Has the browser save CSV under a name. */
export function save(csv, name) {
  const link = document.createElement("a");
  // With its mark, for spreadsheets that would not take it for UTF-8.
  link.href = URL.createObjectURL(new Blob(["\ufeff", csv], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href));
}
