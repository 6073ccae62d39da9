/**
 * The parent of an installation: starts the processes, restarts one that died (with backoff), passes on the stop signal, and
 * prints the ready line. It owns no data and parses nothing, so that there is little in it that could fail. Nothing that a
 * child does can stop another: the gateway goes on taking messages whatever happens behind the journal.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Logger } from './base/logger.ts'
import { messageOf } from './base/errors.ts'
import { releaseStartupMemory } from './base/startup-memory.ts'
import { roles, type ChildMessage, type ParentMessage, type Role } from './main/index.ts'

export interface SupervisorOptions {
  /** Environment of the children: the options of this start, as `start-options.ts` reads them. */
  environment: NodeJS.ProcessEnv
  log: Logger
  /** Prints a line for people and scripts (stdout). */
  print: (line: string) => void
  /** Prints why it cannot start (stderr). */
  complain: (line: string) => void
}

// The whole stop must fit in 10 seconds (design.md §3): a child that has not ended by then is killed; what it had not
// finished is durable and goes on at the next start.
const STOP_GATEWAY_MS = 3_500
const STOP_OTHERS_MS = 6_500
const STOP_TOTAL_MS = 9_000

const RESTART_FIRST_MS = 100
const RESTART_MAX_MS = 5_000
/** A child that lived this long has recovered: its next death starts the backoff anew. */
const STABLE_AFTER_MS = 30_000

/** V8 lets its young generation grow to what saves the last per cent of processor time; behind the door that costs 200 MB and gains
 *  nothing that was measurable. */
const smallYoungGeneration = ['--max-semi-space-size=4']

interface Child {
  role: Role
  process: ChildProcess | undefined
  isReady: boolean
  restarts: number
  backoffMs: number
  startedAtMs: number
  restartTimer: NodeJS.Timeout | undefined
}

/** Runs an installation until it is told to stop; resolves with the exit code. */
export function runSupervisor(options: SupervisorOptions): Promise<number> {
  return new Supervisor(options).run()
}

class Supervisor {
  readonly #options: SupervisorOptions
  readonly #children: Child[]
  #isStopping = false
  #hasPrintedReady = false
  #finish: (exitCode: number) => void = () => {}

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#children = roles.map((role) => ({
      role,
      process: undefined,
      isReady: false,
      restarts: 0,
      backoffMs: RESTART_FIRST_MS,
      startedAtMs: 0,
      restartTimer: undefined,
    }))
  }

  run(): Promise<number> {
    const ended = new Promise<number>((resolve) => (this.#finish = resolve))
    process.on('SIGTERM', () => void this.#stop(0))
    process.on('SIGINT', () => void this.#stop(0))
    // Control goes first: it makes the journal, applies the configuration and publishes the snapshot that the others wait for.
    this.#start(this.#child('control'))
    return ended
  }

  #child(role: Role): Child {
    // `#children` holds one entry for every role.
    return this.#children.find((child) => child.role === role)!
  }

  #start(child: Child): void {
    child.restartTimer = undefined
    child.startedAtMs = Date.now()
    const spawned = fork(fileURLToPath(new URL('./main.ts', import.meta.url)), [child.role], {
      execArgv: child.role === 'gateway' ? [] : smallYoungGeneration,
      env: { ...this.#options.environment, TRIBUTARY_RESTARTS: String(child.restarts) },
      // A child's own stdout is nobody's business; what people should read comes through the parent.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    child.process = spawned
    spawned.on('message', (message: ChildMessage) => this.#onMessage(child, message))
    spawned.on('exit', (code, signal) => this.#onExit(child, code, signal))
    spawned.on('error', (error) =>
      this.#options.log.error({ role: child.role, err: error }, 'the process could not be started'),
    )
    if (child.role !== 'gateway' && spawned.pid !== undefined) lowerPriority(spawned.pid, this.#options.log)
  }

  #onMessage(child: Child, message: ChildMessage): void {
    if (message.type === 'refused') {
      this.#options.complain(message.message)
      // Once it has run, what stands in the way of a restarted child (a port that is not free yet) may pass: it tries again.
      if (!this.#hasPrintedReady) void this.#stop(message.exitCode)
      return
    }
    child.isReady = true
    for (const line of message.lines ?? []) this.#options.print(line)
    if (child.role === 'control') this.#startOthers()
    if (message.address !== undefined) this.#address = message.address
    if (!this.#hasPrintedReady && this.#children.every((each) => each.isReady)) {
      this.#hasPrintedReady = true
      this.#options.print(`tributary ready ${this.#address}`)
      setTimeout(releaseStartupMemory, 1_000).unref()
    }
  }
  #address = ''

  #startOthers(): void {
    for (const child of this.#children) {
      if (child.process === undefined && child.restartTimer === undefined) this.#start(child)
    }
  }

  #onExit(child: Child, code: number | null, signal: NodeJS.Signals | null): void {
    child.process = undefined
    child.isReady = false
    if (this.#isStopping) return
    if (Date.now() - child.startedAtMs > STABLE_AFTER_MS) child.backoffMs = RESTART_FIRST_MS
    child.restarts += 1
    this.#options.log.error(
      { role: child.role, code, signal, restarts: child.restarts, inMs: child.backoffMs },
      'a process ended and will be restarted',
    )
    child.restartTimer = setTimeout(() => this.#start(child), child.backoffMs)
    child.backoffMs = Math.min(RESTART_MAX_MS, child.backoffMs * 2)
  }

  /** Gateway first, so that what it took is processed as far as possible; then the others; control last, which writes what the
   *  pipeline has decided into the raw log. */
  async #stop(exitCode: number): Promise<void> {
    if (this.#isStopping) return
    this.#isStopping = true
    const startedAtMs = Date.now()
    for (const child of this.#children) clearTimeout(child.restartTimer)
    await this.#end(this.#child('gateway'), startedAtMs + STOP_GATEWAY_MS)
    const others = this.#children.filter(({ role }) => role !== 'control')
    await Promise.all(others.map((child) => this.#end(child, startedAtMs + STOP_OTHERS_MS)))
    await this.#end(this.#child('control'), startedAtMs + STOP_TOTAL_MS)
    this.#finish(exitCode)
  }

  async #end(child: Child, deadlineMs: number): Promise<void> {
    const running = child.process
    if (running === undefined) return
    const exited = new Promise<void>((resolve) => running.once('exit', () => resolve()))
    const stop: ParentMessage = { type: 'stop' }
    running.send(stop, (error) => {
      if (error !== null) running.kill('SIGTERM')
    })
    const timer = setTimeout(() => {
      this.#options.log.warn(
        { role: child.role },
        'the process did not stop in time and is killed; it goes on where it was at the next start',
      )
      running.kill('SIGKILL')
    }, deadlineMs - Date.now())
    await exited
    clearTimeout(timer)
  }
}

// Everything behind the journal yields to the door when the processors are busy (design.md §5).
function lowerPriority(pid: number, log: Logger): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL)
  } catch (error) {
    log.warn({ pid, reason: messageOf(error) }, 'the priority of a process could not be lowered')
  }
}
