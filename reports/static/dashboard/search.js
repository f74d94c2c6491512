// Search: fields without a value stay out of the address.

document.querySelector("form[data-drop-empty]").addEventListener("submit", (event) => {
  for (const field of event.target.elements) field.disabled ||= field.value === "" && field.name !== "";
});
