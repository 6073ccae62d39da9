/** A text's place in [0, 1): even over many texts, and the same in every process and version, because samples of today and
 *  tomorrow must choose the same people. FNV-1a over UTF-8, then the finaliser of MurmurHash3, since FNV alone leaves the
 *  high bits of short texts uneven. */
export function hashShare(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  hash ^= hash >>> 16
  return (hash >>> 0) / 0x1_0000_0000
}
