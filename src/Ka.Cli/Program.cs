using Ka.Cli;
using Ka.Cli.Commands;

try
{
    return await CommandTree.Build().Parse(args).InvokeAsync();
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
