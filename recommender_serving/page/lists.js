// Drawing of lists: entries, stars to rate with, explanations, and the movement from one list to the next.

const STEPS = 5;

export const nameOf = (item) => item.title || item.item_id;

export function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

// Replaces the entries of a list; those that stay glide to their new place, those that are new are lit for a moment.
export function replaceEntries(list, entries) {
  const before = new Map([...list.children].map((entry) => [entry.dataset.item, entry.getBoundingClientRect().top]));
  const focused = document.activeElement?.closest("li")?.dataset.item;
  const hadFocus = list.contains(document.activeElement);
  list.replaceChildren(...entries);
  if (hadFocus) {
    const successor = entries.find((entry) => entry.dataset.item === focused) ?? entries[0];
    successor?.querySelector("button[tabindex='0'], button")?.focus();
  }
  if (!before.size || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const entry of entries) {
    const top = before.get(entry.dataset.item);
    if (top === undefined) {
      entry.classList.add("new");
      continue;
    }
    const distance = top - entry.getBoundingClientRect().top;
    if (distance) {
      entry.animate([{ transform: `translateY(${distance}px)` }, { transform: "none" }], {
        duration: 350,
        easing: "ease-out",
      });
    }
  }
}

// Five stars as one stop of the tab key: arrows choose, Enter or a click rates. `rate` gets 1..5.
export function addStars(group, item, rate) {
  group.setAttribute("aria-label", `Rate ${nameOf(item)}`);
  const buttons = Array.from({ length: STEPS }, (_, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "★";
    button.tabIndex = index === 0 ? 0 : -1;
    button.setAttribute("aria-label", `${index + 1} of ${STEPS} stars for ${nameOf(item)}`);
    button.addEventListener("click", () => rate(index + 1));
    return button;
  });
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = Math.min(Math.max(buttons.indexOf(document.activeElement) + step, 0), STEPS - 1);
    buttons.forEach((button, index) => (button.tabIndex = index === next ? 0 : -1));
    buttons[next].focus();
  });
  group.replaceChildren(...buttons);
}

// What the items of the user's past add to a score, largest first.
export function explanation(contributions, score) {
  if (!contributions.length) return document.createTextNode("Nothing of this user's past speaks for or against it.");
  const list = document.createElement("dl");
  const largest = Math.max(...contributions.map((entry) => Math.abs(entry.contribution)));
  for (const entry of contributions) {
    const name = document.createElement("dt");
    name.textContent = nameOf(entry);
    const amount = document.createElement("dd");
    amount.textContent = `${entry.contribution < 0 ? "−" : "+"}${Math.abs(entry.contribution).toFixed(3)}`;
    const bar = document.createElement("meter");
    bar.max = largest || 1;
    bar.value = Math.abs(entry.contribution);
    bar.setAttribute("aria-hidden", "true");
    list.append(name, amount, bar);
  }
  const total = document.createElement("dt");
  total.textContent = "score";
  const sum = document.createElement("dd");
  sum.textContent = score.toFixed(3);
  list.append(total, sum);
  return list;
}
