using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Cli.Kadeploy3;

try
{
    // The name under which it was called; the path of the program itself knows nothing of links.
    if (OldTools.Named(Path.GetFileName(File.ReadAllText("/proc/self/cmdline").Split('\0')[0])) is { } tool)
        return await OldProgram.RunAsync(tool, args);
    return await SeveralServers.InvokeAsync(CommandTree.Build().Parse(args));
}
catch (OperationCanceledException)
{
    return ExitCodes.Left;
}
catch (Exception bug)
{
    await Console.Error.WriteLineAsync($"ka: an unexpected exception, please report it: {bug}");
    return ExitCodes.Internal;
}
