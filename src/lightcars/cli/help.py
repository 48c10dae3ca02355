"""Help pages and usage errors: plain text that wraps, examples, hints, and old names of options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol, final

import typer
from typer.core import TyperCommand, TyperGroup

from lightcars.cli.output import complain_in_one_line
from lightcars.errors import did_you_mean
from lightcars.renamed import renamed_text

OTHER_COMMANDS: Mapping[str, str] = {
    "train": "finetune",
    "fine-tune": "finetune",
    "fit": "finetune",
    "val": "evaluate",
    "validate": "evaluate",
    "eval": "evaluate",
    "test": "evaluate",
    "classify": "predict",
    "infer": "predict",
    "benchmark": "bench",
    "models": "list",
    "quantize": "optimize",
}
"""Commands of other libraries -> ours."""

OTHER_OPTIONS: Mapping[str, str] = {
    "--lr": "--learning-rate",
    "--wd": "--weight-decay",
    "--bs": "--batch-size",
    "--imgsz": "--resolution",
    "--img-size": "--resolution",
    "--image-size": "--resolution",
    "--name": "--out",
    "--output": "--out",
    "--pretrained": "--weights",
    "--num-workers": "--workers",
    "--num-epochs": "--epochs",
}
"""Options of other libraries and commands -> ours."""

OLD_OPTIONS: Mapping[str, str] = {
    "--batch": "--batch-size",
    "--accelerator": "--device",
    "--input-size": "--resolution",
}
"""Former name of an option -> its name; it works until `lightcars.renamed.GONE_IN`, with a warning."""

EQUAL_OPTIONS: Mapping[str, str] = {"--engine": "--engines"}
"""Name of an option in another command -> its name; both work, one is in the help."""

_EXAMPLE = re.compile(r"^Examples?:\s*", re.M)


class _Parsed(Protocol):
    """What is needed of a context of click, which newer versions of typer bring themselves."""

    def fail(self, message: str) -> Any:
        """End with a usage error."""


@final
class HelpfulCommand(TyperCommand):
    """A command whose help shows examples, and which knows old names of its options."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        _unescape(self)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for each in self.params for name in (*each.opts, *each.secondary_opts)}
        try:
            return super().parse_args(ctx, _with_new_names(args, known))
        except Exception as error:
            name = getattr(error, "option_name", None)
            if isinstance(name, str) and name.partition("=")[0] not in known:
                _fail(ctx, f"there is no option {name}.{_meant_option(name, known)}")
            raise

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        _write_text(self.help, formatter)


class HelpfulGroup(TyperGroup):
    """Several commands; for one that does not exist, the error names that which was meant."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        _unescape(self)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            other = OTHER_COMMANDS.get(name)
            known = other in self.commands
            hint = f" Did you mean `lightcars {other}`?" if known else did_you_mean(name, list(self.commands))
            _fail(ctx, f"there is no command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        _write_text(self.help, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command with the whole first paragraph of its help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, " ".join((command.help or "").partition("\n\n")[0].split()))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def make_helpful(app: typer.Typer) -> None:
    """Give an application and all its commands plain help pages."""
    app.info.cls = _helpful(app.info.cls)
    app.rich_markup_mode = None
    for command in app.registered_commands:
        command.cls = HelpfulCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            make_helpful(group.typer_instance)
            group.cls = group.typer_instance.info.cls


def _helpful(kind: Any) -> type[HelpfulGroup]:
    """Return the class of a group if it is helpful already."""
    return kind if isinstance(kind, type) and issubclass(kind, HelpfulGroup) else HelpfulGroup


def _fail(ctx: _Parsed, message: str) -> None:
    ctx.fail(message)


def _with_new_names(args: list[str], known: set[str]) -> list[str]:
    """Return the arguments with new names for old ones; what follows "--" stays as it is."""
    end = args.index("--") if "--" in args else len(args)
    return [_with_new_name(argument, known) for argument in args[:end]] + args[end:]


def _with_new_name(argument: str, known: set[str]) -> str:
    name, equals, value = argument.partition("=")
    new = OLD_OPTIONS.get(name) or EQUAL_OPTIONS.get(name)
    if new not in known or name in known:
        return argument
    if name in OLD_OPTIONS:
        complain_in_one_line(f"warning: {renamed_text(name, str(new))}")
    return f"{new}{equals}{value}"


def _meant_option(name: str, known: set[str]) -> str:
    other = OTHER_OPTIONS.get(name)
    if other in known:
        return f" Did you mean {other}?"
    return did_you_mean(name, [option for option in known if option.startswith("--")])


def _unescape(command: Any) -> None:
    r"""Remove the backslashes of "\[default: ...]", which only rich needs."""
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = parameter.help.replace("\\[", "[")


def _write_text(text: str | None, formatter: Any) -> None:
    """Write paragraphs, wrapped, then the examples, a line for each."""
    paragraphs = [" ".join(part.split()) for part in (text or "").split("\n\n")]
    for paragraph in paragraphs:
        if paragraph and not _EXAMPLE.match(paragraph):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(paragraph)
    lines = [
        line
        for paragraph in paragraphs
        if _EXAMPLE.match(paragraph)
        for line in re.split(r",? or (?=lightcars )", _EXAMPLE.sub("", paragraph))
    ]
    if lines:
        with formatter.section("Examples"):
            for line in lines:
                formatter.write(f"{' ' * formatter.current_indent}{line}\n")
