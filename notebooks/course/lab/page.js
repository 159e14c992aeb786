// What ipywidgets leave out, for the part of the page around this widget: accessible names and states for
// screen readers, and keys that stay inside.

function name(root) {
  for (const label of root.querySelectorAll("label.widget-label")) {
    const control = label.parentElement, text = label.textContent.trim() || label.title;
    if (!text) continue;
    for (const handle of control.querySelectorAll("[role=slider]")) set(handle, "aria-label", text);
    for (const number of control.querySelectorAll(".widget-readout[contenteditable]")) {
      set(number, "role", "textbox");
      set(number, "aria-label", `${text}, as a number`);
    }
    if (control.classList.contains("widget-radio")) {
      set(control, "role", "radiogroup");
      set(control, "aria-label", text);
      for (const radio of control.querySelectorAll("input")) set(radio, "name", groupOf(control)); // arrow keys choose
    }
  }
  // The notebook's own shortcuts stay away, which look at the focused element alone: else an arrow key leaves the cell.
  for (const node of root.querySelectorAll("input, select, button, [role=slider]")) {
    set(node, "data-lm-suppress-shortcuts", "true");
  }
  for (const part of root.querySelectorAll(".gptlib-heard")) set(part, "role", "status"); // read out when it changes
  for (const button of root.querySelectorAll(".widget-toggle-button")) {
    set(button, "aria-expanded", String(button.classList.contains("mod-active")));
  }
}

// A number that is typed may be cut to the slider's range: say so, until the next one.
function typed(event) {
  const number = event.target.closest?.(".widget-slider > .widget-readout");
  if (!number || (event.type === "keydown" && event.key !== "Enter")) return;
  const [slider, wanted] = [number.parentElement, number.textContent.trim()];
  setTimeout(() => { // ipywidgets have taken it by then
    const got = number.textContent.trim(), cut = Math.abs(wanted - got) > 0.01 * Math.abs(got);
    slider.querySelector(".gptlib-beyond")?.remove();
    if (!cut) return;
    const said = document.createElement("small");
    said.className = "gptlib-beyond";
    said.setAttribute("role", "alert");
    said.textContent = `${wanted} is beyond its range; it ends at ${got}`;
    slider.append(said);
  });
}

let groups = 0;
const groupOf = (control) => (control.dataset.group ??= `gptlib-${Date.now()}-${groups++}`);

function set(node, attribute, value) {
  if (node.getAttribute(attribute) !== value) node.setAttribute(attribute, value);
}

export default {
  render({ el }) {
    el.style.display = "none";
    let root, waiting = false;
    const observer = new MutationObserver(() => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; name(root); });
    });
    const begin = () => {
      root = el.closest(".gptlib-named");
      if (!root) return requestAnimationFrame(begin); // not in the page yet
      name(root);
      for (const type of ["keydown", "focusout"]) root.addEventListener(type, typed, true);
      observer.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "title"] });
    };
    begin();
    return () => observer.disconnect();
  },
};
