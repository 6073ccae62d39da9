/** Bytes of a disk that stay free unless the configuration says otherwise: 512 MiB, or a tenth of a disk that is small. */
export function defaultDiskReserve(diskBytes: number): number {
  return Math.min(512 * 1024 * 1024, Math.floor(diskBytes / 10))
}
