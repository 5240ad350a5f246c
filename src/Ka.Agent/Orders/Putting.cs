using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Ka.Agent.Machine;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="PutFile"/> and <see cref="WriteFiles"/>.</summary>
static partial class Putting
{
    public static async Task<OrderOutcome> Run(PutFile order, OrderContext context, CancellationToken cancel)
    {
        var variables = Scripting.Variables(
            new ScriptSpec("", null, default, null, [], order.Variables, 1), context, context.Paths.Scripts);
        var directory = Expand(order.Destination, variables);
        if (!directory.StartsWith('/') || directory.Split('/').Contains("..") || Path.GetFileName(order.FileName) != order.FileName || order.FileName is "" or "." or "..")
        {
            return Fault.Of(FaultCodes.ScriptFailed, "The destination of a file is an absolute directory.", $"{order.Destination} is '{directory}'");
        }
        try
        {
            // In the target its links are followed as the deployed system would follow them.
            var target = context.Paths.Target;
            var real = directory == target || directory.StartsWith(target + "/", StringComparison.Ordinal)
                ? TargetPath.Resolve(target, directory[target.Length..] is { Length: > 0 } inside ? inside : "/")
                : directory;
            if (real is null)
            {
                return Fault.Of(FaultCodes.ScriptFailed, "The destination leads out of the target.", directory);
            }
            Directory.CreateDirectory(real);
            var file = Path.Combine(real, order.FileName);
            if (await context.Files.Fetch(order.FileSha256, file, cancel) is { } failed)
            {
                return failed;
            }
            return OrderOutcome.Found(("put", file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Fault.Of(FaultCodes.ScriptFailed, "The file could not be put into its directory.", e.Message);
        }
    }

    /// <summary>Carries out <see cref="WriteFiles"/>.</summary>
    public static OrderOutcome Write(WriteFiles order, OrderContext context)
    {
        try
        {
            var target = context.Paths.Target;
            foreach (var file in order.Files)
            {
                if (TargetPath.Resolve(target, Path.GetDirectoryName(file.Path) ?? "/") is not { } directory)
                {
                    return Fault.Of(FaultCodes.ScriptFailed, "The path of a file leads out of the target.", file.Path);
                }
                Directory.CreateDirectory(directory);
                TargetPath.Write(target, file.Path, file.Text, (UnixFileMode)(file.Mode & 0xfff), force: true);
            }
            return OrderOutcome.Found(("files", string.Join('\n', order.Files.Select(f => f.Path))));
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.DiskIoError, "A file could not be written into the target.", e.Message);
        }
    }

    /// <summary>Replaces <c>$NAME</c> and <c>${NAME}</c>; a variable that does not exist is empty, as in a shell.</summary>
    internal static string Expand(string text, IReadOnlyDictionary<string, string> variables) =>
        Reference().Replace(text, m => variables.GetValueOrDefault(m.Groups["name"].Value) ?? "");

    [GeneratedRegex(@"\$(?:\{(?<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?<name>[A-Za-z_][A-Za-z0-9_]*))")]
    private static partial Regex Reference();
}
