// Elements of the page. Data only ever becomes text, never markup.

/** The element with this id, which index.html has. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element with the id ${id}`);
  return found;
}

/** A new element; a child is a string or another element, and none is left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Shows a text there, or hides the place if there is none. */
export function say(place, text) {
  place.textContent = text ?? "";
  place.hidden = !text;
}

/** Has a text read out, to those who listen instead of looking. */
export function announce(text) {
  byId("announced").textContent = text;
}

/**
 * Runs a form's work when it is submitted, one at a time. What goes wrong is shown at `problems`,
 * and the field that the work names (`error.field`) gets the focus.
 */
export function onSubmit(form, problems, work) {
  let working = false;
  const submit = form.querySelector("[type=submit]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (working) return;
    working = true;
    submit.setAttribute("aria-disabled", "true");
    form.setAttribute("aria-busy", "true");
    blame(form, null, problems);
    say(problems, null);
    try {
      await work();
    } catch (error) {
      if (!error.stale) {
        say(problems, error.message);
        blame(form, error.field, problems);
      }
    } finally {
      working = false;
      submit.removeAttribute("aria-disabled");
      form.removeAttribute("aria-busy");
    }
  });
}

/** Marks the field that is wrong, and no other. */
function blame(form, field, problems) {
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-errormessage");
  }
  if (!field) return;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-errormessage", problems.id);
  field.focus();
}

/** Gives it the focus, if that was lost with what was here before: never takes it from elsewhere. */
export function refocus(place) {
  if (document.activeElement === document.body) place.focus({ preventScroll: true });
}

/** Something the user has to change, and in which field. */
export class Mistake extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** What is in a field, without the spaces around it; it has to be something, or `missing` is said. */
export function required(field, missing) {
  const text = field.value.trim();
  if (!text) throw new Mistake(field, missing);
  return text;
}
