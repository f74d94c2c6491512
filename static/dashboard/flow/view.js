// The visible part of the picture and its zoom: dragging, ctrl and the wheel, buttons, the minimap.

const MIN_ZOOM = 0.02, MAX_ZOOM = 3;
const TEXT_FROM = 0.4; // text is not legible at a smaller zoom

export class View {
  /** Calls `onChange(x, y, k)` after every change, and before it `onMove()` if the reader made it. */
  constructor(svg, world, map, { onChange, onMove }) {
    this.svg = svg;
    this.world = world;
    this.map = map;
    this.onChange = onChange;
    [this.x, this.y, this.k] = [0, 0, 1];
    let from = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button === 0) from = { x: event.clientX, y: event.clientY, at: [this.x, this.y], moved: false };
    });
    svg.addEventListener("pointermove", (event) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      if (!from.moved && Math.hypot(dx, dy) < 4) return;
      if (!from.moved) svg.setPointerCapture(event.pointerId);
      from.moved = true;
      onMove();
      this.set(from.at[0] + dx, from.at[1] + dy, this.k);
    });
    // A drag does not click the node under the pointer.
    svg.addEventListener("click", (event) => this.dragged && event.stopPropagation(), true);
    for (const name of ["pointerup", "pointercancel"]) {
      svg.addEventListener(name, () => {
        this.dragged = from?.moved ?? false;
        from = null;
      });
    }
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const area = svg.getBoundingClientRect();
      onMove();
      this.zoom(Math.exp(-event.deltaY / 300), event.clientX - area.left, event.clientY - area.top);
    }, { passive: false });
    map.addEventListener("pointerdown", (event) => {
      const area = map.getBoundingClientRect();
      const scale = this.mapScale();
      onMove();
      this.centre((event.clientX - area.left) / scale, (event.clientY - area.top) / scale);
    });
  }

  size() {
    return [this.svg.clientWidth || 1, this.svg.clientHeight || 1];
  }

  set(x, y, k) {
    [this.x, this.y, this.k] = [x, y, Math.min(Math.max(k, MIN_ZOOM), MAX_ZOOM)];
    this.world.setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.k})`);
    this.svg.classList.toggle("far", this.k < TEXT_FROM);
    this.onChange(this.x, this.y, this.k);
    this.drawMap();
  }

  zoom(by, x = this.size()[0] / 2, y = this.size()[1] / 2) {
    const k = Math.min(Math.max(this.k * by, MIN_ZOOM), MAX_ZOOM);
    this.set(x - ((x - this.x) * k) / this.k, y - ((y - this.y) * k) / this.k, k);
  }

  /** Moves this point of the picture to the middle. */
  centre(x, y, k = this.k) {
    const [width, height] = this.size();
    this.set(width / 2 - x * k, height / 2 - y * k, k);
  }

  /** Shows this point at the top at full size; the picture is centred if its whole width fits. */
  begin(x, y, layout) {
    const [width] = this.size();
    const left = layout.width <= width ? (width - layout.width) / 2 : width / 2 - x;
    this.set(left, 24 - y, 1);
  }

  fit(layout) {
    const [width, height] = this.size();
    const k = Math.min(width / (layout.width || 1), height / (layout.height || 1), 1);
    this.set((width - layout.width * k) / 2, (height - layout.height * k) / 2, k);
  }

  /** Moves the picture only as far as needed to make this node visible. */
  show(x, y, width, height) {
    const [w, h] = this.size();
    const [left, top] = [this.x + (x - width / 2) * this.k, this.y + (y - height / 2) * this.k];
    const [right, bottom] = [left + width * this.k, top + height * this.k];
    const dx = left < 8 ? 8 - left : right > w - 8 ? w - 8 - right : 0;
    const dy = top < 8 ? 8 - top : bottom > h - 8 ? h - 8 - bottom : 0;
    if (dx || dy) this.set(this.x + dx, this.y + dy, this.k);
  }

  // --- the minimap ---

  /** `layout` is null when no minimap is needed. */
  useMap(layout, colours) {
    this.layout = layout;
    this.colours = colours;
    this.map.hidden = layout === null;
    if (layout) this.map.style.height = `${Math.max(36, Math.min(130, (200 * layout.height) / (layout.width || 1)))}px`;
    this.drawMap();
  }

  mapScale() {
    return Math.min(this.map.clientWidth / (this.layout.width || 1), this.map.clientHeight / (this.layout.height || 1));
  }

  drawMap() {
    if (!this.layout) return;
    const ratio = window.devicePixelRatio || 1;
    this.map.width = this.map.clientWidth * ratio;
    this.map.height = this.map.clientHeight * ratio;
    const scale = this.mapScale();
    const canvas = this.map.getContext("2d");
    canvas.scale(ratio * scale, ratio * scale);
    this.layout.nodes.forEach(([x, y], node) => {
      canvas.fillStyle = this.colours[node];
      canvas.fillRect(x - 108, y - 37, 216, 74);
    });
    const [width, height] = this.size();
    canvas.lineWidth = 2 / scale;
    canvas.strokeStyle = getComputedStyle(this.map).color;
    canvas.strokeRect(-this.x / this.k, -this.y / this.k, width / this.k, height / this.k);
  }
}
