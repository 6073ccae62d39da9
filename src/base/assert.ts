/** A promise that our own code broke. Nobody catches it: the process stops, is restarted and recovers from the journal. */
export class AssertionFailed extends Error {
  override name = 'AssertionFailed'
}

/** Stops this process when `condition` is false. For what our code guarantees; wrong input is an `AppError` instead. */
export function assert(condition: unknown, whatShouldHaveBeenTrue: string): asserts condition {
  if (!condition) throw new AssertionFailed(whatShouldHaveBeenTrue)
}
