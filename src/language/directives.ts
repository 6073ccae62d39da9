/** The directives of the mapping language. Each one checks its argument and makes its resolver; quirks of Segment's framework
 *  that its tests or the contract (destinations.md §9.1) fix are kept and named. */
import { messageOf } from '../base/errors.ts'
import { flattenObject } from './flatten.ts'
import { compileLiquid } from './liquid.ts'
import { isRawNumber } from '../protocol/index.ts'
import { describe, isDirective, type Place, type Resolve } from './mapping-place.ts'
import { parsePath } from './message-path.ts'
import { compileReader, isObject, setKey } from './own-properties.ts'
import { compileTemplate } from './template.ts'

type CompileDirective = (argument: unknown, place: Place) => Resolve

const directives = new Map<string, CompileDirective>([
  ['@path', (argument, place) => compileText(argument, place, (path) => compileReader(parsePath(path)))],
  ['@template', (argument, place) => compileText(argument, place, compileTemplate)],
  ['@literal', (argument, place) => place.withPlainKeys().compile(argument)],
  ['@if', compileIf],
  ['@arrayPath', compileArrayPath],
  ['@case', compileCase],
  ['@replace', compileReplace],
  ['@merge', compileMerge],
  ['@transform', compileTransform],
  ['@flatten', compileFlatten],
  ['@json', compileJson],
  ['@liquid', compileLiquidDirective],
  ['@excludeWhenNull', compileExcludeWhenNull],
])

/** The compiler of the directive of that name (`@path`), or undefined. */
export function directiveNamed(name: string): CompileDirective | undefined {
  return directives.get(name)
}

/** A text known now is compiled now; a directive gives the text for each message. */
function compileText(argument: unknown, place: Place, compile: (text: string) => Resolve): Resolve {
  if (typeof argument === 'string') {
    const compiled = attempt(() => compile(argument))
    return 'value' in compiled ? compiled.value : place.refuse(compiled.problem)
  }
  if (!isDirective(argument))
    return place.refuse(`should be a string or a mapping directive but it is ${describe(argument)}`)
  const resolve = place.compile(argument)
  return (payload) => {
    const text = resolve(payload)
    if (typeof text !== 'string') throw place.failure(`should give a string but it gives ${describe(text)}`)
    const compiled = attempt(() => compile(text))
    if ('problem' in compiled) throw place.failure(compiled.problem)
    return compiled.value(payload)
  }
}

function attempt<T>(run: () => T): { value: T } | { problem: string } {
  try {
    return { value: run() }
  } catch (error) {
    return { problem: `cannot be used: ${messageOf(error)}` }
  }
}

/** The argument as an object with plain keys, or undefined after noting what is wrong. */
function optionsOf(argument: unknown, place: Place): Record<string, unknown> | undefined {
  if (isDirective(argument)) place.refuse('should be an object but it is a directive')
  else if (!isObject(argument)) place.refuse(`should be an object but it is ${describe(argument)}`)
  else return argument
  return undefined
}

function requireField(options: Record<string, unknown>, name: string, place: Place): boolean {
  if (options[name] !== undefined) return true
  place.refuse(`should have field ${JSON.stringify(name)} but it doesn't`)
  return false
}

/** The field as one of a few words. */
function choiceOf<const T extends string>(
  options: Record<string, unknown>,
  name: string,
  choices: readonly T[],
  place: Place,
): T | undefined {
  if (!requireField(options, name, place)) return undefined
  const choice = choices.find((candidate) => candidate === options[name])
  if (choice === undefined)
    place.at(name).refuse(`should be ${choices.map((text) => JSON.stringify(text)).join(' or ')}`)
  return choice
}

function flagOf(options: Record<string, unknown>, name: string, otherwise: boolean, place: Place): boolean {
  const value = options[name] ?? otherwise
  if (typeof value === 'boolean') return value
  place.at(name).refuse(`should be a boolean but it is ${describe(value)}`)
  return otherwise
}

function compileIf(argument: unknown, place: Place): Resolve {
  const options = optionsOf(argument, place)
  if (!options) return () => undefined
  const { exists, blank, then, else: otherwise } = options
  if (exists === undefined && blank === undefined)
    return place.refuse('should have field "exists" or "blank" but it has neither')
  const condition = exists !== undefined ? place.at('exists').compile(exists) : place.at('blank').compile(blank)
  const isMet = exists !== undefined ? isPresent : isNotBlank
  const whenMet = place.at('then').compile(then)
  // Segment's framework takes a falsy raw `else` (false, 0, "", null) for a missing one.
  const whenNot = otherwise ? place.at('else').compile(otherwise) : () => undefined
  return (payload) => (isMet(condition(payload)) ? whenMet(payload) : whenNot(payload))
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null
}

/** In the framework: not undefined, not null and not loosely equal to "". So 0 and false count as blank, and so does an
 *  array whose text is empty. Written out, because `==` on an object from outside would call its `toString`. */
function isNotBlank(value: unknown): boolean {
  if (Array.isArray(value)) return !(value.length === 0 || (value.length === 1 && isEmptyItem(value[0])))
  return isPresent(value) && value !== '' && value !== 0 && value !== false
}

function isEmptyItem(item: unknown): boolean {
  return Array.isArray(item) ? !isNotBlank(item) : !isPresent(item) || item === ''
}

function compileArrayPath(argument: unknown, place: Place): Resolve {
  if (!Array.isArray(argument)) return place.refuse(`should be an array but it is ${describe(argument)}`)
  const [path, shape] = argument as unknown[]
  const list = compileListPath(path, place)
  if (shape === undefined || (isObject(shape) && Object.keys(shape).length === 0)) return list
  if (!isObject(shape)) return place.at(1).refuse(`should be an object but it is ${describe(shape)}`)
  const resolveItem = place.at(1).compile(shape)
  return (payload) => {
    const items = list(payload)
    if (!Array.isArray(items) && !isObject(items)) return items
    return (Array.isArray(items) ? items : [items]).map((item) => resolveItem(item) ?? null)
  }
}

/** Unlike in `@path`, a directive gives the list itself and not a path to it. */
function compileListPath(path: unknown, place: Place): Resolve {
  if (isDirective(path)) return place.at(0).compile(path)
  return compileText(path, place, (text) => compileReader(parsePath(text)))
}

function compileCase(argument: unknown, place: Place): Resolve {
  const options = optionsOf(argument, place)
  const operator = options && choiceOf(options, 'operator', ['lower', 'upper'], place)
  const resolve = place.at('value').compile(options?.['value'])
  return (payload) => {
    const value = resolve(payload)
    if (typeof value !== 'string') return value
    return operator === 'lower' ? value.toLowerCase() : value.toUpperCase()
  }
}

const REPLACE_CHARACTERS_MAX = 10

function compileReplace(argument: unknown, place: Place): Resolve {
  const options = optionsOf(argument, place)
  if (!options) return () => undefined
  requireField(options, 'pattern', place)
  const value = requireField(options, 'value', place) ? place.at('value').compile(options['value']) : () => undefined
  const isGlobal = flagOf(options, 'global', true, place)
  const ignoresCase = flagOf(options, 'ignorecase', false, place)
  const steps = [
    { pattern: shortText(options, 'pattern', 1, place), replacement: shortText(options, 'replacement', 0, place) },
    { pattern: shortText(options, 'pattern2', 0, place), replacement: shortText(options, 'replacement2', 0, place) },
  ].filter(({ pattern }) => pattern !== '')
  const replacers = steps.map(({ pattern, replacement }) =>
    compileReplacer(pattern, replacement, isGlobal, ignoresCase),
  )
  return (payload) => {
    const subject = value(payload)
    const isText = typeof subject === 'string' || typeof subject === 'number' || typeof subject === 'boolean'
    if (!isText && !isRawNumber(subject)) return ''
    return replacers.reduce((text, replace) => replace(text), isText ? String(subject) : subject.rawJSON)
  }
}

function shortText(options: Record<string, unknown>, name: string, lengthMin: number, place: Place): string {
  const text = options[name] ?? ''
  const at = place.at(name)
  if (typeof text !== 'string') at.refuse(`should be a string but it is ${describe(text)}`)
  else if (text.length > REPLACE_CHARACTERS_MAX)
    at.refuse(`should be a string of length ${REPLACE_CHARACTERS_MAX} or less`)
  else if (text.length >= lengthMin || options[name] === undefined) return text
  else at.refuse(`should be a string of length ${lengthMin} or greater`)
  return ''
}

function compileReplacer(
  pattern: string,
  replacement: string,
  isGlobal: boolean,
  ignoresCase: boolean,
): (text: string) => string {
  const literal = new RegExp(RegExp.escape(pattern), `${isGlobal ? 'g' : ''}${ignoresCase ? 'i' : ''}`)
  // A function, because `$&` and the like in a replacement text would mean something.
  return (text) => text.replace(literal, () => replacement)
}

function compileMerge(argument: unknown, place: Place): Resolve {
  const options = optionsOf(argument, place)
  if (!options) return () => undefined
  const direction = choiceOf({ direction: 'right', ...options }, 'direction', ['left', 'right'], place)
  const { objects } = options
  if (!requireField(options, 'objects', place)) return () => undefined
  if (!Array.isArray(objects)) return place.at('objects').refuse(`should be an array but it is ${describe(objects)}`)
  const resolvers = objects.map((object, index) => place.at('objects').at(index).compile(object))
  return (payload) =>
    merge(
      resolvers.map((resolve) => resolve(payload)),
      direction === 'right',
    )
}

/** Shallow. What is not an object (a path that leads nowhere) adds nothing. */
function merge(objects: unknown[], laterWins: boolean): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [key, value] of objects.filter(isObject).flatMap(Object.entries)) {
    if (laterWins || !Object.hasOwn(result, key)) setKey(result, key, value)
  }
  return result
}

function compileTransform(argument: unknown, place: Place): Resolve {
  const options = optionsOf(argument, place)
  if (!options) return () => undefined
  if (!requireField(options, 'apply', place) || !requireField(options, 'mapping', place)) return () => undefined
  const apply = place.at('apply').compile(options['apply'])
  const resolve = place.at('mapping').compile(options['mapping'])
  return (payload) => {
    const applied = apply(payload)
    if (!isObject(applied)) throw place.at('apply').failure(`should give an object but it gives ${describe(applied)}`)
    return resolve(applied)
  }
}

function compileFlatten(argument: unknown, place: Place): Resolve {
  const options = optionsOf(argument, place)
  if (!options) return () => undefined
  const resolve = place.at('value').compile(options['value'])
  const omitArrays = flagOf(options, 'omitArrays', false, place)
  if (!requireField(options, 'separator', place)) return () => undefined
  const { separator } = options
  if (typeof separator !== 'string' || separator === '')
    return place.at('separator').refuse('should be a string of length 1 or greater')
  return (payload) => {
    const value = resolve(payload)
    return isObject(value) || Array.isArray(value) ? flattenObject(value, '', separator, omitArrays) : value
  }
}

function compileJson(argument: unknown, place: Place): Resolve {
  const options = optionsOf(argument, place)
  const mode = options && choiceOf(options, 'mode', ['encode', 'decode'], place)
  const resolve = place.at('value').compile(options?.['value'])
  return (payload) => {
    const value = resolve(payload)
    // JSON.stringify gives undefined for undefined, and so the key is left out.
    if (mode === 'encode') return JSON.stringify(value)
    return typeof value === 'string' ? decode(value) : value
  }
}

// As deep as a message may be (contract: spec.md): what takes the payload further must be able to walk it.
const DECODED_DEPTH_MAX = 100

function decode(text: string): unknown {
  if (depthOf(text) > DECODED_DEPTH_MAX) return text
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Not JSON, which is allowed: the text stays.
    return text
  }
}

/** How deep brackets nest in a JSON text, not counting those in strings. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let isInString = false
  for (let index = 0; index < text.length; index++) {
    const character = text[index]
    if (character === '"') isInString = !isInString
    else if (isInString) index += character === '\\' ? 1 : 0
    else if (character === '[' || character === '{') deepest = Math.max(deepest, ++depth)
    else if (character === ']' || character === '}') depth--
  }
  return deepest
}

function compileLiquidDirective(argument: unknown, place: Place): Resolve {
  // No directive here: a template that comes with the message would be somebody else's program.
  if (typeof argument !== 'string') return place.refuse(`should be a string but it is ${describe(argument)}`)
  return compileText(argument, place, (text) => {
    const render = compileLiquid(text)
    return (payload) => {
      const rendered = attempt(() => render(payload))
      if ('problem' in rendered) throw place.failure(rendered.problem)
      return rendered.value
    }
  })
}

function compileExcludeWhenNull(argument: unknown, place: Place): Resolve {
  const resolve = place.compile(argument)
  return (payload) => {
    const value = resolve(payload)
    return value === null ? undefined : withoutNulls(value)
  }
}

/** Null properties go at every depth; null items of arrays stay, since removing them would move the others. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (!isObject(value)) return value
  const result: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) if (inner !== null) setKey(result, key, withoutNulls(inner))
  return result
}
