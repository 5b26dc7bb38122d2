/**
 * Limits on the cost of one template. They count work instead of time: LiquidJS limits rendering by time only, which would
 * refuse an honest template on a busy machine. Pure.
 */
import { Context, defaultOperators, type Liquid, type Operators } from 'liquidjs';

/** Far above any honest template; in characters. */
export const PARSE_LIMIT = 4 * 1024 * 1024;
/** LiquidJS counts bytes and elements that tags and filters create or walk; `counting` adds what comparisons walk. */
export const MEMORY_LIMIT = 32 * 1024 * 1024;
/** Pieces of a template (text, outputs, tags) that may be rendered; each turn of a loop counts again. */
export const MAX_PIECES = 200_000;

type Limiter = Context['renderLimit'];

/** Counts calls instead of time. LiquidJS makes one or two for each piece. */
class PieceLimiter {
  private left = MAX_PIECES;

  use(): void {
    this.check();
  }

  check(): void {
    if (--this.left < 0) throw new Error(`template render limit exceeded: it renders more than ${MAX_PIECES} pieces`);
  }
}

/**
 * The context of one rendering; its limits include all included templates.
 * @param options.goesOn whether it continues after an error, and throws all errors together at the end
 */
export const limitedContext = (liquid: Liquid, globals: object, { goesOn = false } = {}): Context =>
  new Context(
    {},
    goesOn ? { ...liquid.options, catchAllErrors: true } : liquid.options,
    { globals, sync: true },
    // The class has private fields, so its type cannot be subclassed; LiquidJS calls only its two methods.
    { renderLimit: new PieceLimiter() as unknown as Limiter, liquid },
  );

/** Comparing two elements of lists costs LiquidJS about as much as walking this many characters. */
const ELEMENT = 32;
const costOf = (value: unknown): number => {
  if (Array.isArray(value)) return value.length * ELEMENT;
  return typeof value === 'string' ? value.length : 0;
};

/** The operators that walk lists and texts; each walk counts against the memory limit. */
export const countingOperators: Operators = {
  ...defaultOperators,
  ...Object.fromEntries(
    ['contains', '==', '!='].map((name) => {
      const operator = defaultOperators[name];
      if (!operator) throw new Error(`liquidjs has no operator ${name}`);
      const counting = (left: unknown, right: unknown, context: Context) => {
        context.memoryLimit.use(costOf(left));
        return operator(left, right, context);
      };
      return [name, counting];
    }),
  ),
};
