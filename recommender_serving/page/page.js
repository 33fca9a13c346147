// The page: one user's past, what each model recommends, and how both follow a rating.

import { Problem, follow, get, post, useKey } from "/page/api.js";
import { addStars, clone, explanation, nameOf, replaceEntries } from "/page/lists.js";

const LENGTH = 10;
const SOURCES = {
  personalized: "made from this user's past",
  folded_in: "follows this user's latest events",
  popular: "popular items: nothing is known of this user yet",
};

const element = (id) => document.getElementById(id);
const historySection = element("history");
const state = {
  user: "",
  watch: null, // ends the stream of changes
  sent: null, // the event whose effect is awaited
  shown: new Map(), // algorithm -> section
  scale: { minimum: 0.5, maximum: 5 },
  explains: false, // what this service can be asked for, by its own description
};

function say(text, bad = false) {
  element("message").textContent = text;
  element("message").classList.toggle("bad", bad);
}

function report(error) {
  element("unlock").hidden = !(error instanceof Problem && [401, 403].includes(error.status));
  say(error instanceof Problem ? error.message : "The service does not answer.", true);
}

const address = (user) => encodeURIComponent(user);

async function showModel() {
  const model = await get("/model");
  const lag = model.live.lag_records;
  const freshness = lag ? `${lag} events behind` : model.live.state === "live" ? "live" : model.live.state;
  const trained = new Date(model.created_at);
  element("model").textContent =
    `champion ${model.version} · trained ${trained.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })} · ${freshness}`;
  return model;
}

// The list of each deployed model; the champion's comes first.
async function listsOf(user, { algorithm, deployed }) {
  const path = `/recommendations/user/${address(user)}?num_recommendations=${LENGTH}`;
  const others = Object.keys(deployed).filter((other) => other !== algorithm);
  return Promise.all([get(path), ...others.map((other) => get(`${path}&algorithm=${other}`))]);
}

async function pastOf(user) {
  return get(`/users/${address(user)}/history`);
}

function showLists(lists) {
  const shared = lists.map((list) => new Set(list.recommendations.map((item) => item.item_id)));
  const container = element("lists");
  for (const [algorithm, section] of state.shown) {
    if (!lists.some((list) => list.model.algorithm === algorithm)) {
      section.remove();
      state.shown.delete(algorithm);
    }
  }
  lists.forEach((list, place) => {
    const { algorithm, version } = list.model;
    const section = state.shown.get(algorithm) ?? clone("list-template");
    state.shown.set(algorithm, section);
    if (container.children[place] !== section) container.insertBefore(section, container.children[place] ?? null);
    const title = section.querySelector("h2");
    title.id = `list-${algorithm}`;
    title.textContent = algorithm;
    section.setAttribute("aria-labelledby", title.id);
    if (place === 0) {
      const badge = document.createElement("span");
      badge.className = "badge";
      badge.textContent = "champion";
      title.append(badge);
    }
    const asOf = new Date(list.as_of).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
    section.querySelector("p").textContent = `${SOURCES[list.source]} · as of ${asOf}`;
    section.title = version;
    const entries = list.recommendations.map((item, index) => {
      const others = shared.some((items, other) => other !== place && items.has(item.item_id));
      return entryOf(item, index + 1, list, others);
    });
    replaceEntries(section.querySelector("ol"), entries);
  });
}

function entryOf(item, rank, list, inBoth) {
  const entry = clone("entry-template");
  entry.dataset.item = item.item_id;
  entry.classList.toggle("both", inBoth);
  entry.querySelector(".rank").textContent = rank;
  entry.querySelector(".title").textContent = nameOf(item);
  if (inBoth) entry.querySelector(".title").title = "in both lists";
  entry.querySelector(".stars").textContent = `${item.predicted_rating.toFixed(1)} stars expected`;
  addStars(entry.querySelector(".rate"), item, (step) => rate(item, step, list.ranking_id));
  const why = entry.querySelector(".why");
  why.hidden = !state.explains;
  why.setAttribute("aria-label", `Why ${nameOf(item)}`);
  why.addEventListener("click", () => explain(item, list.model.algorithm, why, entry.querySelector(".because")));
  return entry;
}

async function explain(item, algorithm, button, box) {
  const open = button.getAttribute("aria-expanded") === "false";
  button.setAttribute("aria-expanded", String(open));
  box.hidden = !open;
  if (!open || box.hasChildNodes()) return;
  try {
    const question = { user_id: state.user, num_recommendations: LENGTH, algorithm, explain: true };
    const answer = await post("/recommendations", question);
    const explained = answer.recommendations.find((entry) => entry.item_id === item.item_id);
    const { base, items, other_items, rules } = explained.explanation.score;
    const rest = base + other_items + rules;
    const terms = rest ? [...items, { title: "everything else", contribution: rest }] : items;
    box.replaceChildren(explanation(terms, explained.score));
  } catch (error) {
    report(error);
  }
}

function showPast(past) {
  historySection.hidden = false;
  element("history-note").textContent = past.length ? "latest first" : "nothing yet";
  const entries = past.map((event) => {
    const entry = clone("past-template");
    entry.dataset.item = event.item_id;
    entry.querySelector(".title").textContent = nameOf(event);
    entry.querySelector(".stars").textContent = event.rating === null ? "not rated" : `${event.rating} stars`;
    const remove = entry.querySelector(".remove");
    remove.setAttribute("aria-label", `Remove ${nameOf(event)}`);
    remove.addEventListener("click", () => send({ item_id: event.item_id, event_type: "remove" }, `${nameOf(event)} removed`));
    return entry;
  });
  replaceEntries(historySection.querySelector("ol"), entries);
}

async function send(event, done) {
  const sent = { user: state.user, at: performance.now(), done };
  state.sent = sent;
  try {
    await post("/events", { user_id: state.user, timestamp: new Date().toISOString(), ...event });
  } catch (error) {
    state.sent = null;
    report(error);
  }
}

function rate(item, step, rankingId) {
  const { minimum, maximum } = state.scale;
  const rating = Math.max(minimum, Math.round((maximum * step * 2) / 5) / 2);
  send({ item_id: item.item_id, rating, ranking_id: rankingId }, `${nameOf(item)} rated ${rating}`);
}

// Called whenever the user's events or the model have changed.
async function refresh(user) {
  const model = await showModel();
  const [lists, past] = await Promise.all([listsOf(user, model), pastOf(user)]);
  if (user !== state.user) return;
  element("unlock").hidden = true;
  showLists(lists);
  showPast(past.items);
  const sent = state.sent;
  if (sent?.user === user) {
    state.sent = null;
    say(`${sent.done}; the lists followed within ${Math.round(performance.now() - sent.at)} ms.`);
  } else {
    say(`Showing ${user}. Rate something and watch the lists change.`);
  }
}

function show(user) {
  state.watch?.abort();
  state.watch = new AbortController();
  state.user = user;
  state.sent = null;
  element("user").value = user;
  window.history.replaceState(null, "", `#${address(user)}`);
  refresh(user).catch(report);
  let first = true;
  follow(`/users/${address(user)}/changes`, () => {
    if (!first) refresh(user).catch(report);
    first = false;
  }, state.watch.signal);
}

function userInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

async function start() {
  const [schema, { users }] = await Promise.all([get("/schema"), get("/users"), showModel()]);
  const [number] = schema.components.schemas.Event.properties.rating.anyOf;
  state.scale = { minimum: number.minimum, maximum: number.maximum };
  state.explains = Boolean(schema.paths["/recommendations"]?.post);
  element("users").replaceChildren(...users.map((user) => Object.assign(document.createElement("option"), { value: user })));
  const user = userInAddress();
  if (user) show(user);
}

element("who").addEventListener("submit", (event) => {
  event.preventDefault();
  show(element("user").value.trim());
});
element("guest").addEventListener("click", () => show(`guest-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`));
element("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(element("key").value.trim());
  start().then(() => state.user && show(state.user)).catch(report);
});
window.addEventListener("hashchange", () => userInAddress() && userInAddress() !== state.user && show(userInAddress()));
start().catch(report);
setInterval(() => document.hidden || showModel().catch(() => say("The service does not answer.", true)), 10_000);
