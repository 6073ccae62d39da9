import type { Clock } from '../base/clock.ts'

/** Something to wait for, once for each raise; a raise before the wait counts. One waits at a time. */
export class Signal {
  #isRaised = false
  #resolve: (() => void) | undefined

  /** Bound, so that it can be handed on. */
  readonly raise = (): void => {
    this.#isRaised = true
    this.#resolve?.()
  }

  /** Resolves when it is raised, or after a time if there is a limit; with whether it was raised. */
  async wait(limit?: { clock: Clock; ms: number }): Promise<boolean> {
    if (!this.#isRaised) {
      await new Promise<void>((resolve) => {
        const timer = limit?.clock.after(limit.ms, resolve)
        this.#resolve = () => {
          if (timer !== undefined) limit?.clock.clear(timer)
          resolve()
        }
      })
      this.#resolve = undefined
    }
    const wasRaised = this.#isRaised
    this.#isRaised = false
    return wasRaised
  }
}
