namespace Ka.Cli;

/// <summary>Exit statuses of <c>ka</c>: what a script may rely on.</summary>
public static class ExitCodes
{
    public const int Done = 0;
    public const int AllFailed = 1;
    public const int Usage = 2;
    public const int SomeFailed = 3;
    public const int StillRunning = 4;
    public const int Cancelled = 5;
    public const int BadData = 65;
    public const int Unreachable = 69;
    public const int Internal = 70;
    public const int Busy = 75;
    public const int NoRight = 77;
    public const int BadConfiguration = 78;
    public const int Left = 130;

    /// <summary>The status for an operation that has ended.</summary>
    public static int OfState(string state) => state switch
    {
        "done" => Done,
        "partial" => SomeFailed,
        "failed" => AllFailed,
        "cancelled" => Cancelled,
        _ => Internal,
    };

    /// <summary>The status for a refusal of the server.</summary>
    public static int OfProblem(int status, string code) => code switch
    {
        "nodes.busy" or "environment.in_use" or "auth.busy" or "nodes.drained" or "server.stopped" or "console.busy" => Busy,
        "auth.missing" or "rights.ended" => NoRight,
        "console.ended" or "console.none" => AllFailed,
        "server.unreachable" => Unreachable,
        "config.invalid" or "minimal.missing" => BadConfiguration,
        _ when status == 403 => NoRight,
        _ when status >= 500 => Internal,
        _ => BadData,
    };
}
