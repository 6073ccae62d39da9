/** Offsets as runs `[start, count, start, count, …]`: what a batch holds is mostly consecutive, and a run of a thousand costs
 *  as much as one. */

/** Adds an offset at the end of the runs; joins the last run when it follows it. */
export function pushOffset(runs: number[], offset: number): void {
  const last = runs.length - 2
  if (last >= 0 && runs[last]! + runs[last + 1]! === offset) runs[last + 1]!++
  else runs.push(offset, 1)
}

/** The runs of offsets in any order. */
export function toRuns(offsets: Iterable<number>): number[] {
  const runs: number[] = []
  for (const offset of [...offsets].sort((a, b) => a - b)) pushOffset(runs, offset)
  return runs
}

/** Calls `visit` for each offset, in the order of the runs. */
export function eachOffset(runs: readonly number[], visit: (offset: number) => void): void {
  for (let at = 0; at + 1 < runs.length; at += 2) {
    const start = runs[at]!
    const end = start + runs[at + 1]!
    for (let offset = start; offset < end; offset++) visit(offset)
  }
}

export function countOffsets(runs: readonly number[]): number {
  let count = 0
  for (let at = 1; at < runs.length; at += 2) count += runs[at]!
  return count
}

export function holdsOffset(runs: readonly number[], offset: number): boolean {
  for (let at = 0; at + 1 < runs.length; at += 2) {
    if (offset >= runs[at]! && offset < runs[at]! + runs[at + 1]!) return true
  }
  return false
}
