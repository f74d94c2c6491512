// A small map of the whole session, with a line per call in its agent's colour; dragging selects a time range.

export class Minimap {
  /** `onSelect(from, to)` is called with the time range, in ms, that the reader has dragged over. */
  constructor(box, onSelect) {
    this.canvas = box.querySelector("canvas");
    this.window = box.querySelector(".window");
    this.box = box;
    let from = null;
    const time = (event) => {
      const area = this.canvas.getBoundingClientRect();
      const share = (event.clientX - area.left) / area.width;
      return Math.min(Math.max(share, 0), 1) * this.span;
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      from = time(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (from !== null) this.show(Math.min(from, time(event)), Math.max(from, time(event)));
    });
    this.canvas.addEventListener("pointerup", (event) => {
      const to = time(event);
      const [a, b] = [Math.min(from, to), Math.max(from, to)];
      from = null;
      // A click selects a twentieth of the session around it.
      if (b - a < this.span / 200) onSelect(Math.max(0, a - this.span / 40), a + this.span / 40);
      else onSelect(a, b);
    });
  }

  draw(model) {
    this.span = Math.max(model.end, 1);
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const canvas = this.canvas.getContext("2d");
    canvas.scale(ratio, ratio);
    const colours = this.colours();
    const { begin, ms, name, flags } = model.calls;
    const thick = Math.max(1, Math.min(4, height / model.nCalls));
    for (let call = 0; call < model.nCalls; call++) {
      const row = model.rowOfCall[call];
      const y = (row / Math.max(model.nRows, 1)) * (height - thick);
      canvas.fillStyle = flags[call] & 3 ? colours.bad : flags[call] & 4 ? colours.warn : colours[model.colours[name[call]]];
      canvas.fillRect((begin[call] / this.span) * width, y, Math.max(1, ((ms[call] ?? 0) / this.span) * width), thick);
    }
  }

  colours() {
    const probe = document.createElement("span");
    this.box.append(probe);
    const colours = {};
    for (let number = 0; number < 10; number++) {
      probe.className = `dot agent-${number}`;
      colours[number] = getComputedStyle(probe).backgroundColor;
    }
    probe.className = "probe bad";
    colours.bad = getComputedStyle(probe).color;
    probe.className = "probe warn";
    colours.warn = getComputedStyle(probe).color;
    probe.remove();
    return colours;
  }

  show(from, to) {
    const width = this.canvas.clientWidth;
    this.window.style.left = `${(Math.max(from, 0) / this.span) * width}px`;
    this.window.style.width = `${Math.max(2, ((Math.min(to, this.span) - Math.max(from, 0)) / this.span) * width)}px`;
  }
}
