// Says of a template and its data what Handlebars makes of them. It reads requests
// {text, data} from standard input, one a line, and answers each on a line with
//
//	{static}                 why the text is no template, or asks for what is not there
//	{missing, line, column}  the first value that is missing, as in strict mode
//	{failure}                what else ended the rendering
//	{output}                 what was rendered
//
// and with the names of the rules that were needed. These are the rules in which
// SES differs from Handlebars in strict mode:
//
//	escape    SES escapes nothing
//	lines     a tag that has a line for itself leaves the line (not known of SES)
//	null      a value that is null is missing
//	this      so is {{this}}, or what a name behind "as" stands for, if it is null or absent
//	test      what a helper is applied to may be absent at any depth: it is no failure
//	section   so may the value of a section, {{#a}} or {{^a}}
//	fields    text and numbers have no fields ("length"), and nothing is inherited
//	params    what a name behind "as" stands for is looked at too
//	parent    ../ leads out of a partial that is defined at the top too
//	reserved  SES's own words stay as they stand
//	body      there are no partials with a body, {{#> a}}
//	raw       there are no raw blocks, {{{{a}}}}
//	inline    there is no decorator but inline, with its name in quotes
//	dynamic   the name of a partial is written out
'use strict';
const path = require('path');
const readline = require('readline');
const Handlebars = require(path.join(process.argv[2], 'handlebars'));

const blocks = ['if', 'unless', 'with', 'each'];
const values = { lookup: 2, log: null };
const reserved = ['amazonSESUnsubscribeUrl', 'ses:openTracker'];
const has = (o, k) => o !== null && typeof o === 'object' && Object.prototype.hasOwnProperty.call(o, k);
const get = (o, k) => (has(o, k) ? o[k] : undefined);

class Missing extends Error {
  constructor(name, loc) {
    super(name);
    this.loc = loc;
  }
}

// These stand in for the runtime's functions in the compiled code: the rules null,
// test, fields and escape. With noEscape Handlebars adds numbers up that stand
// side by side.
function write(v) {
  return v == null ? '' : String(v);
}
function strict(o, name, loc) {
  if (get(o, name) == null) throw new Missing(name, loc);
  return o[name];
}
function lookup(o, name) {
  return get(o, name);
}

// The rule params.
const { opcode } = Handlebars.Compiler.prototype;
Handlebars.Compiler.prototype.opcode = function (name, ...args) {
  if (name === 'lookupBlockParam') args.push(this.sourceNode[0].strict && args[1].length > 1);
  return opcode.call(this, name, ...args);
};
Handlebars.JavaScriptCompiler.prototype.lookupBlockParam = function (id, parts, strict) {
  this.useBlockParams = true;
  this.push(['blockParams[', id[0], '][', id[1], ']']);
  this.resolvePath('context', parts, 1, false, strict);
};

// Programs that do the same are one otherwise, with the place of the first.
Handlebars.JavaScriptCompiler.prototype.matchExistingProgram = () => undefined;

Handlebars.registerHelper('lookup', (o, key) => get(o, key));
Handlebars.registerHelper('log', () => '');
Handlebars.registerHelper('section', function (value, options) {
  return Handlebars.helpers.blockHelperMissing.call(this, value, options);
});

Handlebars.registerHelper('whole', function (options) {
  return options.fn(this);
});

// call is a block of the helper name around the body of program.
function call(name, params, program) {
  const strip = { open: false, close: false };
  return {
    type: 'BlockStatement', params, loc: program.loc,
    path: { type: 'PathExpression', parts: [name], original: name, depth: 0, data: false, loc: program.loc },
    program: { type: 'Program', body: program.body, strip: {}, loc: program.loc },
    openStrip: strip, closeStrip: strip,
  };
}

const partsOf = (p) => p.parts || [String(p.original)];
const fail = (what) => {
  throw new SyntaxError(what);
};

// Static refuses what Handlebars refuses only when it comes to it, and turns
// sections into calls of a helper.
class Static extends Handlebars.Visitor {
  constructor(rules) {
    super();
    Object.assign(this, { rules, defined: new Set(), called: [] });
  }
  isHelper(node) {
    const simple = partsOf(node.path).length === 1 && !node.path.depth && !/^\.|this\b/.test(node.path.original);
    const known = blocks.includes(partsOf(node.path)[0]) || partsOf(node.path)[0] in values;
    return node.type === 'SubExpression' || node.params.length > 0 || node.hash || (simple && known && !node.path.data);
  }
  value(node) {
    const name = String(node.path.original);
    if (!Object.prototype.hasOwnProperty.call(values, name)) fail('helper ' + name);
    if (values[name] !== null && node.params.length !== values[name]) fail('arguments of ' + name);
  }
  MustacheStatement(node) {
    super.MustacheStatement(node);
    node.escaped = true; // by write
    if (this.isHelper(node)) this.value(node);
    else if (reserved.includes(node.path.original)) {
      this.rules.add('reserved');
      node.type = 'ContentStatement';
      node.value = node.original = `{{${node.path.original}}}`;
    }
  }
  SubExpression(node) {
    super.SubExpression(node);
    this.value(node);
  }
  BlockStatement(node) {
    super.BlockStatement(node);
    if (!('open' in node.openStrip)) this.refuse('raw');
    if (this.isHelper(node)) {
      if (!blocks.includes(String(node.path.original))) fail('block helper ' + node.path.original);
      if (node.params.length !== 1) fail('arguments of ' + node.path.original);
      return;
    }
    this.rules.add('section');
    const value = node.path.parts ? node.path : { type: 'PathExpression', parts: partsOf(node.path), original: String(node.path.original), depth: 0, data: false, loc: node.path.loc };
    node.params = [value];
    node.path = { type: 'PathExpression', parts: ['section'], original: 'section', depth: 0, data: false, loc: node.loc };
  }
  PartialStatement(node) {
    super.PartialStatement(node);
    if (node.name.type === 'SubExpression') this.refuse('dynamic');
    if (node.params.length > 1) fail('arguments of a partial');
    this.called.push(node.name.original);
  }
  PartialBlockStatement(node) {
    super.PartialBlockStatement(node);
    this.refuse('body');
  }
  Decorator() {
    this.refuse('inline');
  }
  DecoratorBlock(node) {
    super.DecoratorBlock(node);
    if (node.path.original !== 'inline' || node.params.length !== 1 || node.params[0].type !== 'StringLiteral' || node.hash) this.refuse('inline');
    this.defined.add(node.params[0].value);
  }
  refuse(rule) {
    this.rules.add(rule);
    fail(rule);
  }
}

function compile(text, rules) {
  const ast = Handlebars.parseWithoutProcessing(text);
  const s = new Static(rules);
  s.accept(ast);
  for (const name of s.called) if (!s.defined.has(String(name))) fail('partial ' + name);
  ast.body = [call('whole', [], ast)];
  const code = Handlebars.precompile(ast, { strict: true, ignoreStandalone: true })
    .replaceAll('container.strict', 'strict')
    .replaceAll('container.lookupProperty ||', 'lookup ||')
    .replaceAll('container.escapeExpression', 'write');
  return Handlebars.template(new Function('strict', 'lookup', 'write', 'return ' + code)(strict, lookup, write));
}

function judge({ text, data }) {
  const rules = new Set();
  const answer = () => {
    let template;
    try {
      template = compile(text, rules);
    } catch (e) {
      return { static: e.message };
    }
    try {
      return { output: template(data) };
    } catch (e) {
      if (e instanceof Missing) return { missing: e.message, line: e.loc.start.line, column: e.loc.start.column + 1 };
      return { failure: e.message };
    }
  };
  return { ...answer(), rules: [...rules] };
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  process.stdout.write(JSON.stringify(judge(JSON.parse(line))) + '\n');
});
