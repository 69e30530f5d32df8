// Asks the server, as whoever is signed in. The credential stays in this tab and goes nowhere but into the header of a request.

const KEY = "toolcrib.credential";

export class Refused extends Error {
  constructor(status, message, kind) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

export function credential() {
  return sessionStorage.getItem(KEY);
}

export function signIn(text) {
  sessionStorage.setItem(KEY, text);
}

export function signOut() {
  sessionStorage.removeItem(KEY);
}

/** The headers that say who asks. */
export function identity() {
  const own = credential();
  return own ? { authorization: `Bearer ${own}` } : {};
}

/** What is at this path; throws what the server says where it says no. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...identity(), ...options.headers }, credentials: "omit", cache: "no-store" });
  } catch {
    throw new Refused(0, "Toolcrib cannot be reached. Is it still running?");
  }
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Refused(response.status, text.trim() || response.statusText);
  }
  if (!response.ok) throw new Refused(response.status, body.error ?? response.statusText, body.error_type);
  return body;
}
