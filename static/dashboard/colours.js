// An agent's colour number: the CRC-32 of its name, as in reports/dashboard/formats.py.

const COLOURS = 10;

export function agentColour(name) {
  let crc = ~0;
  for (const byte of new TextEncoder().encode(`@${name ?? "None"}`)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (~crc >>> 0) % COLOURS;
}
