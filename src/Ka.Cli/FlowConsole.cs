using System.Text;

namespace Ka.Cli;

/// <summary>Standard output and standard error of one flow of work, where several run beside each other in one process.</summary>
static class FlowConsole
{
    static readonly AsyncLocal<(TextWriter Output, TextWriter Errors)?> Chosen = new();
    static readonly Lock Gate = new();
    static bool _installed;

    static TextWriter? _errors;

    /// <summary>Where this flow writes its errors, whatever is chosen after it.</summary>
    public static TextWriter Errors => Chosen.Value?.Errors ?? _errors ?? Console.Error;

    /// <summary>From here on, what this flow writes goes there.</summary>
    public static void Redirect(TextWriter output, TextWriter errors)
    {
        lock (Gate)
            if (!_installed)
            {
                _errors = Console.Error;
                Console.SetOut(new Writer(Console.Out, c => c.Output));
                Console.SetError(new Writer(Console.Error, c => c.Errors));
                _installed = true;
            }
        Chosen.Value = (TextWriter.Synchronized(output), TextWriter.Synchronized(errors));
    }

    sealed class Writer(TextWriter usual, Func<(TextWriter Output, TextWriter Errors), TextWriter> of) : TextWriter
    {
        TextWriter To => Chosen.Value is { } chosen ? of(chosen) : usual;

        public override Encoding Encoding => usual.Encoding;

        public override void Write(char value) => To.Write(value);

        public override void Write(char[] buffer, int index, int count) => To.Write(buffer, index, count);

        public override void Write(string? value) => To.Write(value);

        public override void WriteLine(string? value) => To.WriteLine(value);

        public override void Flush() => To.Flush();
    }
}

/// <summary>Writes whole lines, each with a word before it.</summary>
sealed class PrefixWriter(string prefix, TextWriter to) : TextWriter
{
    readonly StringBuilder _line = new();

    public override Encoding Encoding => to.Encoding;

    public override void Write(char value)
    {
        if (value != '\n')
            _line.Append(value);
        else
        {
            to.WriteLine($"{prefix}{_line}");
            _line.Clear();
        }
    }

    /// <summary>Writes what has no end of line yet.</summary>
    public void End()
    {
        if (_line.Length > 0)
            Write('\n');
    }
}
