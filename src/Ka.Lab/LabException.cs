namespace Ka.Lab;

/// <summary>
/// The lab cannot go on, and the person at the terminal must hear why. Caught in one place, <see cref="Commands.Run"/>,
/// which prints the sentence and leaves with <see cref="ExitCode"/> (70 internal, 69 missing, 75 busy, 2 usage).
/// </summary>
public sealed class LabException(string message, int exitCode = 70) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
