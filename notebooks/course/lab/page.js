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
  // The notebook's own shortcuts stay away: else an arrow key leaves for the next cell.
  for (const node of root.querySelectorAll("input, select, button, [role=slider]")) {
    set(node, "data-lm-suppress-shortcuts", "true");
  }
  for (const part of root.querySelectorAll(".gptlib-heard")) set(part, "role", "status"); // read out when it changes
  for (const button of root.querySelectorAll(".widget-toggle-button")) {
    set(button, "aria-expanded", String(button.classList.contains("mod-active")));
  }
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
      observer.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "title"] });
    };
    begin();
    return () => observer.disconnect();
  },
};
