// Elements of the layout editor.

/** An element with properties, attributes ("aria-label", "role") and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value)
    else element[name] = value
  }
  element.append(...children)
  return element
}

// Every control is an <input>: the editor's own undo leaves keys alone while one of these has the focus.
export const button = (value, onclick, more = {}) => make("input", { type: "button", value, onclick, ...more })
