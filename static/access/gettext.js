// What the admin's scripts ask for translations and formats. Django's own comes from a view, and our
// pages run files alone.

const formats = {
  DATE_INPUT_FORMATS: ["%Y-%m-%d"],
  TIME_INPUT_FORMATS: ["%H:%M:%S", "%H:%M"],
  FIRST_DAY_OF_WEEK: 0,
};

globalThis.django = {
  ...globalThis.django,
  gettext: (text) => text,
  ngettext: (one, many, count) => (count === 1 ? one : many),
  pgettext: (context, text) => text,
  get_format: (name) => formats[name] ?? name,
  interpolate: (text, values, isNamed) =>
    isNamed
      ? text.replace(/%\(\w+\)s/g, (match) => String(values[match.slice(2, -2)]))
      : values.reduce((filled, value) => filled.replace("%s", String(value)), text),
};
for (const name of ["gettext", "ngettext", "pgettext", "get_format", "interpolate"]) {
  globalThis[name] = django[name];
}
