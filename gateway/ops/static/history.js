// The points of the window that is looked at: asked of the gateway, which merges histograms, and kept
// up with the point of each second. Bounded, however long the page stays open. Pure.

export const POINTS_MAX = 900;
const NS_PER_MS = 1e6;

// How long until the gateway is asked again for a window of so many seconds: as often as a pixel of
// it changes, and not so often that a page left open would be work.
export const refreshed_s = (span_s) => Math.min(Math.max(span_s / 180, 5), 60);

export class History {
  constructor() {
    this.points = [];
    this.merged = null;
    this.resolution_s = 1;
  }

  // Takes a reply to `history`.
  replace({ points, merged, resolution_s }) {
    this.points = points;
    this.merged = merged;
    this.resolution_s = resolution_s;
  }

  // Takes the point of the last second, where the window shows seconds, and lets go of what has left it.
  append(point, from_ms) {
    if (this.resolution_s > 1 || point === null || point === undefined) return false;
    if (this.points.length > 0 && point.ts <= this.points.at(-1).ts) return false;
    this.points.push(point);
    const first = this.points.findIndex((one) => one.ts > from_ms * NS_PER_MS);
    this.points.splice(0, Math.max(first, this.points.length - POINTS_MAX, 0));
    return true;
  }
}
