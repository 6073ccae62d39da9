/**
 * Destination filters (contract: destinations.md §7). Conditions are decided on the message as it came; then the actions of
 * all filters that match are applied in the order sample, drop, drop properties, allow properties. A filter that does not
 * parse or cannot be decided stops the message: nothing leaves that somebody meant to hold back. The message is shared with
 * other destinations, so it is copied where it changes.
 */
import type { JsonObject } from '../protocol/index.ts'
import { compileFql } from './fql-evaluate.ts'
import { FqlEvaluationError } from './fql-expression.ts'
import { parseFql } from './fql-parse.ts'
import { compileReader, isObject } from './own-properties.ts'
import { dropPath, keepPaths, splitPath } from './properties.ts'
import { hashShare } from './hash-share.ts'

export const FILTERS_MAX = 10
export const FILTER_TITLE_CHARACTERS_MAX = 64

/** What the store keeps of a filter (`FilterSnapshot`); fields are also taken in the other shape that is in use. */
export interface Filter {
  title: string
  if: string
  actions: readonly FilterAction[]
  isEnabled: boolean
}

export type FilterAction =
  | { type: 'DROP' }
  | { type: 'SAMPLE'; percent: number; path?: string }
  | { type: 'DROP_PROPERTIES' | 'ALLOW_PROPERTIES'; fields: Record<string, FieldNames> }

type FieldNames = readonly string[] | { fields: readonly string[] }

export type FilterVerdict =
  /** `message` is the very same object when no filter changed it. */
  | { kind: 'keep'; message: JsonObject }
  /** `title` names the filter; `error` says why it could not be decided, when that is the reason. */
  | { kind: 'drop'; title: string; error?: string }

/** Makes the decision for one message. `random` gives numbers from 0 up to 1, for samples without a path. Never throws, whatever
 *  the message or the filters hold. */
export function compileFilters(
  filters: readonly Filter[],
  random: () => number,
): (message: JsonObject) => FilterVerdict {
  const rules = filters.filter(({ isEnabled }) => isEnabled).map((filter) => compileRule(filter, random))
  if (rules.length === 0) return (message) => ({ kind: 'keep', message })
  return (message) => decide(rules, message)
}

/** What is wrong with the FQL of a filter, as a sentence for the person who wrote it; undefined when it is fine. */
export function checkFilter(text: string): string | undefined {
  if (isEveryMessage(text)) return undefined
  const parsed = parseFql(text)
  return parsed.ok ? undefined : `The condition does not parse at character ${parsed.position + 1}: ${parsed.message}.`
}

export interface FilterProblem {
  /** Where in the list: `0.actions.1.percent`; empty for the list itself. */
  path: string
  /** A sentence for the person. */
  problem: string
}

/** What is wrong with the filters of a destination; empty when they can be saved. */
export function checkFilters(filters: readonly Filter[]): FilterProblem[] {
  const problems: FilterProblem[] = []
  if (filters.length > FILTERS_MAX)
    problems.push({ path: '', problem: `A destination has at most ${FILTERS_MAX} filters.` })
  for (const [index, filter] of filters.entries()) {
    if (filter.title.length > FILTER_TITLE_CHARACTERS_MAX) {
      problems.push({
        path: `${index}.title`,
        problem: `A title has at most ${FILTER_TITLE_CHARACTERS_MAX} characters.`,
      })
    }
    const condition = checkFilter(filter.if)
    if (condition) problems.push({ path: `${index}.if`, problem: condition })
    if (filter.actions.length === 0)
      problems.push({ path: `${index}.actions`, problem: 'A filter has at least one action.' })
    for (const [position, action] of filter.actions.entries()) {
      const { field, problem } = checkAction(action) ?? {}
      if (problem) problems.push({ path: `${index}.actions.${position}.${field}`, problem })
    }
  }
  return problems
}

function checkAction(action: FilterAction): { field: string; problem: string } | undefined {
  switch (action.type) {
    case 'DROP':
      return undefined
    case 'SAMPLE':
      // Also false for NaN.
      if (action.percent >= 0 && action.percent <= 1) return undefined
      return { field: 'percent', problem: 'The share to keep is a number from 0 to 1.' }
    case 'DROP_PROPERTIES':
    case 'ALLOW_PROPERTIES': {
      const isValid =
        isObject(action.fields) && Object.values(action.fields).every((names) => namesOf(names) !== undefined)
      return isValid
        ? undefined
        : { field: 'fields', problem: 'Fields are lists of names by the object that holds them.' }
    }
    default:
      return { field: 'type', problem: 'The type is DROP, SAMPLE, DROP_PROPERTIES or ALLOW_PROPERTIES.' }
  }
}

interface Rule {
  title: string
  matches: (message: JsonObject) => boolean
  isSampledOut: ((message: JsonObject) => boolean)[]
  drops: boolean
  dropProperties: Change[]
  allowProperties: Change[]
}

type Change = (message: JsonObject) => JsonObject

function compileRule(filter: Filter, random: () => number): Rule {
  const { title, actions } = filter
  const refused = checkFilters([filter]).find(({ path }) => path !== '0.title')
  return {
    title,
    matches: refused ? () => fail(refused.problem) : compileCondition(filter.if),
    isSampledOut: actions.flatMap((action) => (action.type === 'SAMPLE' ? [compileSample(action, random)] : [])),
    drops: actions.some(({ type }) => type === 'DROP'),
    dropProperties: refused
      ? []
      : actions.flatMap((action) => (action.type === 'DROP_PROPERTIES' ? [compileDrop(action.fields)] : [])),
    allowProperties: refused
      ? []
      : actions.flatMap((action) => (action.type === 'ALLOW_PROPERTIES' ? [compileAllow(action.fields)] : [])),
  }
}

function fail(problem: string): never {
  throw new FqlEvaluationError(problem)
}

function compileCondition(text: string): (message: JsonObject) => boolean {
  if (isEveryMessage(text)) return () => true
  const parsed = parseFql(text)
  return parsed.ok ? compileFql(parsed.expression) : () => fail(parsed.message)
}

/** The word that means every message, in place of FQL. */
function isEveryMessage(text: string): boolean {
  return text.trim() === 'all'
}

function decide(rules: readonly Rule[], message: JsonObject): FilterVerdict {
  const matched: Rule[] = []
  for (const rule of rules) {
    try {
      if (rule.matches(message)) matched.push(rule)
    } catch (error) {
      if (!(error instanceof FqlEvaluationError)) throw error
      return { kind: 'drop', title: rule.title, error: error.message }
    }
  }
  const stops =
    matched.find(({ isSampledOut }) => isSampledOut.some((isOut) => isOut(message))) ??
    matched.find(({ drops }) => drops)
  if (stops) return { kind: 'drop', title: stops.title }
  const changes = [
    ...matched.flatMap((rule) => rule.dropProperties),
    ...matched.flatMap((rule) => rule.allowProperties),
  ]
  return { kind: 'keep', message: changes.reduce((changed, change) => change(changed), message) }
}

/** With a path the same value is always decided alike; where the value is missing, and without a path, chance decides. */
function compileSample(
  action: Extract<FilterAction, { type: 'SAMPLE' }>,
  random: () => number,
): (message: JsonObject) => boolean {
  const { percent, path } = action
  if (path === undefined || path === '') return () => random() >= percent
  const read = compileReader(splitPath(path))
  return (message) => {
    const value = read(message)
    const share =
      value === undefined || value === null
        ? random()
        : hashShare(typeof value === 'object' ? JSON.stringify(value) : String(value))
    return share >= percent
  }
}

function compileDrop(fields: Record<string, FieldNames>): Change {
  const paths = Object.entries(fields).flatMap(([prefix, names]) => pathsBelow(splitPath(prefix), namesOf(names) ?? []))
  // What a path leads to is the same kind of object as the message: a copy without some keys.
  return (message) => paths.reduce((changed, path) => dropPath(changed, path) as JsonObject, message)
}

function compileAllow(fields: Record<string, FieldNames>): Change {
  const rules = Object.entries(fields).map(([prefix, names]) => ({
    prefix: splitPath(prefix),
    paths: pathsBelow([], namesOf(names) ?? []),
  }))
  return (message) =>
    rules.reduce((changed, { prefix, paths }) => keepPaths(changed, prefix, paths) as JsonObject, message)
}

/** A name stands for the key that is spelt so, dots included, and for the path that it reads as. */
function pathsBelow(prefix: string[], names: readonly string[]): string[][] {
  return names.flatMap((name) => {
    const steps = splitPath(name)
    return steps.length > 1
      ? [
          [...prefix, name],
          [...prefix, ...steps],
        ]
      : [[...prefix, ...steps]]
  })
}

function namesOf(names: FieldNames | undefined): readonly string[] | undefined {
  const list = isObject(names) ? names['fields'] : names
  const isList = Array.isArray(list) && list.every((name) => typeof name === 'string')
  return isList ? (list as string[]) : undefined
}
